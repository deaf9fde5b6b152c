import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { apt, aptInstall, aptUpdate, isAlive, run, runAsService, ServicesError, which } from './shell.mjs';

/** Debian's next stable release: its pgvector source compiles against this release's PostgreSQL. */
const PGVECTOR_SUITE = 'trixie';

function installedBinDir() {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return undefined;
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')));
}

/**
 * The bin directory of a PostgreSQL that has pgvector. Debian 12 has no pgvector package, so it is compiled
 * from Debian's source into a relocated copy of the server's tree under `cacheDir`; nothing goes to /usr.
 */
export function postgresWithVector(cacheDir, log) {
  let bin = installedBinDir();
  if (!bin) {
    log('installing PostgreSQL');
    aptInstall('postgresql');
    bin = installedBinDir();
    if (!bin) throw new ServicesError('no PostgreSQL server was found after installing it');
  }
  const major = basename(dirname(bin));
  if (existsSync(`/usr/share/postgresql/${major}/extension/vector.control`)) return bin;
  const version = run(join(bin, 'postgres'), ['--version']).split(' ')[2];
  const tree = join(cacheDir, `pg${major}-${process.arch}-${version}`);
  if (!existsSync(join(tree, '.complete'))) {
    log(`compiling pgvector for PostgreSQL ${major}`);
    buildTree(cacheDir, tree, bin, major);
  }
  return join(tree, 'lib/postgresql', major, 'bin');
}

function buildTree(cacheDir, tree, bin, major) {
  if (!which('gcc') || !existsSync('/usr/include/stdio.h')) aptInstall('gcc', 'libc6-dev');
  const work = mkdtempSync(join(cacheDir, 'build-'));
  try {
    downloadHeaders(work, major);
    const source = downloadSource(cacheDir, work);
    const version = /^default_version = '(.*)'/m.exec(
      readFileSync(join(source, 'vector.control'), 'utf8'),
    )[1];
    const sources = readdirSync(join(source, 'src')).filter((name) => name.endsWith('.c'));
    // No -march=native: the cached build may run on another machine; pgvector dispatches at run time.
    run('gcc', [
      ...'-O2 -fPIC -shared -ftree-vectorize -fassociative-math -fno-signed-zeros -fno-trapping-math'.split(
        ' ',
      ),
      ...'-fno-strict-aliasing -fwrapv -D_GNU_SOURCE'.split(' '),
      `-I${join(work, 'headers/usr/include/postgresql', major, 'server')}`,
      '-o',
      join(work, 'vector.so'),
      ...sources.map((name) => join(source, 'src', name)),
      '-lm',
    ]);
    const staged = join(work, 'tree');
    const lib = join(staged, 'lib/postgresql', major);
    const share = join(staged, 'share/postgresql', major);
    mkdirSync(join(lib, 'lib'), { recursive: true });
    mkdirSync(join(staged, 'share/postgresql'), { recursive: true });
    cpSync(bin, join(lib, 'bin'), { recursive: true });
    for (const name of readdirSync(`/usr/lib/postgresql/${major}/lib`)) {
      if (name.endsWith('.so')) cpSync(`/usr/lib/postgresql/${major}/lib/${name}`, join(lib, 'lib', name));
    }
    cpSync(`/usr/share/postgresql/${major}`, share, { recursive: true, dereference: true });
    cpSync(join(work, 'vector.so'), join(lib, 'lib/vector.so'));
    const extension = join(share, 'extension');
    cpSync(join(source, 'vector.control'), join(extension, 'vector.control'));
    cpSync(join(source, 'sql/vector.sql'), join(extension, `vector--${version}.sql`));
    for (const name of readdirSync(join(source, 'sql'))) {
      if (name.startsWith('vector--')) cpSync(join(source, 'sql', name), join(extension, name));
    }
    run('chmod', ['-R', 'a+rX', staged]);
    writeFileSync(join(staged, '.complete'), '');
    rmSync(tree, { recursive: true, force: true });
    renameSync(staged, tree);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Headers only: installing the -dev package would pull in a compiler suite. */
function downloadHeaders(work, major) {
  const download = () => apt(['download', `postgresql-server-dev-${major}`], { cwd: work });
  try {
    download();
  } catch {
    aptUpdate();
    download();
  }
  const archive = readdirSync(work).find((name) => name.endsWith('.deb'));
  run('dpkg-deb', ['-x', join(work, archive), join(work, 'headers')]);
}

/** Reads one deb-src suite from whatever mirror this machine uses, in an apt state of its own. */
function downloadSource(cacheDir, work) {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const targets = () =>
    run('apt-get', [
      'indextargets',
      '--format',
      '$(REPO_URI) $(CODENAME) $(COMPONENT)',
      'Created-By: Packages',
    ])
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, name, component]) => name === codename && component === 'main');
  if (!targets()) aptUpdate();
  const mirror = targets()?.[0];
  if (!mirror) throw new ServicesError("this machine's Debian mirror cannot be told from its apt settings");
  const state = join(cacheDir, 'apt');
  mkdirSync(join(state, 'lists/partial'), { recursive: true });
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(
    join(state, 'sources.list'),
    `deb-src [signed-by=${keyring}] ${mirror} ${PGVECTOR_SUITE} main\n`,
  );
  const options = [
    ['Dir::Etc::sourcelist', join(state, 'sources.list')],
    ['Dir::Etc::sourceparts', '/dev/null'],
    ['Dir::State::lists', join(state, 'lists')],
    ['Dir::Cache::pkgcache', ''],
    ['Dir::Cache::srcpkgcache', ''],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  apt([...options, 'update']);
  apt([...options, 'source', '--download-only', 'pgvector'], { cwd: work });
  const archive = readdirSync(work).find((name) => /^pgvector_.*\.orig\.tar\./.test(name));
  const source = join(work, 'source');
  mkdirSync(source);
  run('tar', ['xf', join(work, archive), '-C', source, '--strip-components=1']);
  return source;
}

/** Starts a cluster under `directory/pg` (made on first use) and returns its superuser URL. */
export function startPostgres(directory, bin, port, { durable }) {
  const data = join(directory, 'pg');
  if (!existsSync(join(data, 'PG_VERSION'))) {
    runAsService(join(bin, 'initdb'), [
      ...['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    ]);
  }
  const settings = {
    unix_socket_directories: '',
    shared_buffers: '256MB',
    max_connections: '300',
    maintenance_work_mem: '256MB',
    max_prepared_transactions: '10',
    // The relocated tree lacks the bitcode that just-in-time compilation reads.
    jit: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}='${value}'`);
  rmSync(join(data, 'postmaster.pid'), { force: true });
  const log = join(directory, 'pg.log');
  const args = [
    '-D',
    data,
    '-l',
    log,
    '-w',
    '-t',
    '60',
    '-o',
    `-p ${port} -h 127.0.0.1 ${options.join(' ')}`,
  ];
  try {
    runAsService(join(bin, 'pg_ctl'), [...args, 'start'], { stdio: 'ignore' });
  } catch (error) {
    throw new ServicesError(`PostgreSQL did not start: ${tail(log)}`, { cause: error });
  }
  return `postgres://postgres@127.0.0.1:${port}`;
}

/** Makes the product's login (not a superuser) and its database, with the extensions it needs. */
export function prepareDatabase(bin, url, { role, database }) {
  const psql = (name, ...statements) =>
    run(join(bin, 'psql'), [
      ...[`${url}/${name}`, '-qAtX', '-v', 'ON_ERROR_STOP=1'],
      ...statements.flatMap((statement) => ['-c', statement]),
    ]);
  if (psql('postgres', `select 1 from pg_roles where rolname = '${role}'`) !== '1')
    psql('postgres', `create role ${role} login createrole createdb`);
  if (psql('postgres', `select 1 from pg_database where datname = '${database}'`) !== '1')
    psql('postgres', `create database ${database} owner ${role}`);
  psql(
    database,
    'set client_min_messages = warning',
    'create extension if not exists vector',
    'create extension if not exists pg_trgm',
  );
}

export function postgresPid(directory) {
  const file = join(directory, 'pg/postmaster.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  return isAlive(pid) ? pid : undefined;
}

function tail(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-8).join('\n') : 'no log';
}

/** Makes a folder that the service account owns. */
export function makeServiceFolder(directory, owner) {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
  if (owner) run('chown', [owner, directory]);
}
