import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, until } from '@sparkle/contracts/testing';
import pg from 'pg';
import { TestDatabaseUrlMissingError } from './test-database.js';

const execute = promisify(execFile);
const HOST = '127.0.0.1';

/** Settings of `postgresql.conf` by name. */
export type PostgresSettings = Readonly<Record<string, string>>;

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * A PostgreSQL server (with pgvector) of a test's own, on loopback, that can be stopped, killed, stalled, and
 * started again on the same port with its data, and that can have replicas. Uses the programs in
 * `TEST_POSTGRES_BIN`, which `npm test` and `npm run bench` set; without it those of the server of
 * `TEST_DATABASE_URL`. Ends with the process that started it.
 */
export class PostgresServer {
  private child: ChildProcess | undefined;
  private readonly endWithProcess = () => this.child?.kill('SIGQUIT');

  private constructor(
    readonly port: number,
    private readonly bin: string,
    private readonly directory: string,
    private readonly account: Account | undefined,
    private readonly settings: PostgresSettings,
  ) {
    process.once('exit', this.endWithProcess);
  }

  /** Makes a cluster with superuser `postgres`, trusted on loopback, and starts it. Takes about 2 s. */
  static async start(settings: PostgresSettings = {}): Promise<PostgresServer> {
    const server = await PostgresServer.prepare(settings);
    await server.run('initdb', [
      ...['-D', server.dataDirectory, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8'],
      '--no-sync',
    ]);
    await server.restart();
    return server;
  }

  private static async prepare(settings: PostgresSettings): Promise<PostgresServer> {
    const bin = await binDirectory();
    const account = await serviceAccount();
    const directory = await mkdtemp(join(tmpdir(), 'sparkle-postgres-'));
    if (account) await chown(directory, account.uid, account.gid);
    return new PostgresServer(await freePort(), bin, directory, account, settings);
  }

  /** Copies this server into a hot standby that streams from it. */
  async startReplica(settings: PostgresSettings = {}): Promise<PostgresServer> {
    const replica = await PostgresServer.prepare(settings);
    await replica.run('pg_basebackup', [
      ...['-h', HOST, '-p', String(this.port), '-U', 'postgres'],
      ...['-D', replica.dataDirectory, '-R', '-X', 'stream', '-c', 'fast'],
    ]);
    await replica.restart();
    return replica;
  }

  /** Superuser's URL of the database `postgres`. */
  get url(): string {
    return this.urlOf('postgres');
  }

  /** URL of `database` on this server for `user`. */
  urlOf(database: string, user = 'postgres'): string {
    return `postgres://${user}@${HOST}:${this.port}/${database}`;
  }

  /** A folder below which the server may write, for tablespaces. */
  async makeFolder(name: string): Promise<string> {
    const folder = join(this.directory, name);
    await mkdir(folder);
    if (this.account) await chown(folder, this.account.uid, this.account.gid);
    return folder;
  }

  /** Starts the server again with its data on the same port, ending it at once (as by power loss) if it runs. */
  async restart(): Promise<void> {
    await this.kill();
    const settings = {
      port: String(this.port),
      listen_addresses: HOST,
      unix_socket_directories: '',
      shared_buffers: '32MB',
      max_connections: '60',
      fsync: 'off',
      // A relocated server lacks the bitcode that just-in-time compilation reads.
      jit: 'off',
      ...this.settings,
    };
    const log = await open(join(this.directory, 'server.log'), 'a');
    this.child = spawn(
      join(this.bin, 'postgres'),
      [
        '-D',
        this.dataDirectory,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...this.account, stdio: ['ignore', log.fd, log.fd], env: { ...process.env, HOME: this.directory } },
    );
    await once(this.child, 'spawn');
    await log.close();
    try {
      await until(async () => (await this.query('SELECT 1')).length === 1, `PostgreSQL on port ${this.port}`);
    } catch (error) {
      throw new Error(`${String(error)}\n${(await this.log()).slice(-2000)}`);
    }
  }

  /** Runs one statement as superuser on a connection of its own. */
  async query<Row extends object = Record<string, unknown>>(
    text: string,
    parameters: unknown[] = [],
    database = 'postgres',
  ): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.urlOf(database) });
    // The server may end while the client waits.
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, parameters)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** What the server has logged. */
  log(): Promise<string> {
    return readFile(join(this.directory, 'server.log'), 'utf8');
  }

  /** Freezes every process of the server: connections stay open and nothing is answered. */
  async stall(): Promise<void> {
    await this.signalAll('SIGSTOP');
  }

  /** Lets a frozen server go on. */
  async resume(): Promise<void> {
    await this.signalAll('SIGCONT');
  }

  /** Ends every process of the server at once, as a power cut does; its data stays. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    // Backends outlive a killed postmaster for a moment and would keep its successor from starting.
    const processes = await processTree(child.pid);
    child.kill('SIGKILL');
    for (const pid of processes) signal(pid, 'SIGKILL');
    await exited;
    await until(async () => !processes.some((pid) => signal(pid, 0)), 'the end of the backends');
  }

  /** Shuts the server down as an administrator does: clients are cut, committed data is on disk. */
  async shutDown(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGINT');
    await exited;
  }

  /** Ends the server and removes what it left. */
  async stop(): Promise<void> {
    await this.kill();
    process.off('exit', this.endWithProcess);
    await rm(this.directory, { recursive: true, force: true });
  }

  private get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  private async run(program: string, args: readonly string[]): Promise<void> {
    await execute(join(this.bin, program), args, {
      ...this.account,
      env: { ...process.env, HOME: this.directory },
    });
  }

  private async signalAll(name: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (!child?.pid) return;
    for (const pid of [child.pid, ...(await processTree(child.pid))]) signal(pid, name);
  }
}

/** False when the process is gone; a zombie that nobody has reaped yet counts as gone too. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** The children of a process; each backend of PostgreSQL is one. */
async function processTree(pid: number): Promise<number[]> {
  const { stdout } = await execute('ps', ['-o', 'pid=', '--ppid', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.split('\n').flatMap((line) => (line.trim() ? [Number(line)] : []));
}

async function binDirectory(): Promise<string> {
  const { TEST_POSTGRES_BIN, TEST_DATABASE_URL } = process.env;
  if (TEST_POSTGRES_BIN) return TEST_POSTGRES_BIN;
  if (!TEST_DATABASE_URL) throw new TestDatabaseUrlMissingError();
  const client = new pg.Client({ connectionString: TEST_DATABASE_URL });
  await client.connect();
  try {
    const { rows } = await client.query<{ setting: string }>(
      `SELECT setting FROM pg_config WHERE name = 'BINDIR'`,
    );
    return rows[0]!.setting;
  } finally {
    await client.end();
  }
}

/** PostgreSQL refuses to run as root; root starts it as the account `npm test` uses. */
async function serviceAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(
        ['-u', '-g'].map(async (flag) => Number((await execute('id', [flag, name])).stdout)),
      );
      return { uid: uid!, gid: gid! };
    } catch {
      // The next one.
    }
  }
  throw new Error('PostgreSQL cannot run as root, and neither "postgres" nor "nobody" is an account here');
}
