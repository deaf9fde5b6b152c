import { spawnSync } from 'node:child_process';

export class ServicesError extends Error {}

/** Runs a command to its end and returns its trimmed standard output; throws with its error output. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...options });
  if (done.error || done.status !== 0) {
    const reason = done.error?.message ?? (done.stderr || done.stdout || `exit ${done.status}`).trim();
    throw new ServicesError(`${command} ${args[0] ?? ''} failed: ${reason.slice(-2000)}`);
  }
  return (done.stdout ?? '').trim();
}

/** The full path of a command, or undefined. */
export function which(...names) {
  for (const name of names) {
    const found = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    if (found) return found;
  }
  return undefined;
}

const isRoot = process.getuid?.() === 0;

function asRoot(command, args, options) {
  if (isRoot) return run(command, args, options);
  if (which('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0)
    return run('sudo', ['-n', command, ...args], options);
  throw new ServicesError(
    `${[command, ...args].join(' ')} needs root. Install it by hand, or set TEST_DATABASE_URL and TEST_REDIS_URL.`,
  );
}

const APT = ['-q', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=300'];
let listsAreFresh = false;

export function aptUpdate() {
  if (listsAreFresh) return;
  asRoot('apt-get', [...APT, 'update']);
  listsAreFresh = true;
}

export function aptInstall(...packages) {
  if (!which('apt-get'))
    throw new ServicesError(
      `this is not Debian: install ${packages.join(', ')} by hand, or set TEST_DATABASE_URL and TEST_REDIS_URL`,
    );
  aptUpdate();
  asRoot('apt-get', [...APT, 'install', '-y', '--no-install-recommends', ...packages], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** Runs apt-get as it is set up, without root rights needed for what it does. */
export function apt(args, options) {
  return run('apt-get', [...APT, '-o', 'APT::Sandbox::User=root', ...args], options);
}

/** Runs a command as the service account when this process is root. */
export function runAsService(command, args, options) {
  if (!isRoot) return run(command, args, options);
  const group = run('id', ['-g', serviceAccount()]);
  return run(
    'setpriv',
    [
      `--reuid=${serviceAccount()}`,
      `--regid=${group}`,
      '--clear-groups',
      '--',
      'env',
      'HOME=/tmp',
      command,
      ...args,
    ],
    options,
  );
}

/** The account the servers run under (PostgreSQL refuses root); asked anew, as installing PostgreSQL creates it. */
export function serviceAccount() {
  return spawnSync('id', ['-u', 'postgres']).status === 0 ? 'postgres' : 'nobody';
}

/** True while the process runs; a zombie counts as gone. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
  return spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()[0] !== 'Z';
}
