import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, HOST, until } from './loopback.js';

const run = promisify(execFile);

/**
 * A Redis server of a test's own, on loopback and without persistence, that can be stopped, killed, stalled and
 * started again on the same port. Needs `redis-server` and `redis-cli`, or Valkey's, on the path; `npm test` and
 * `npm run bench` install them. Ends with the process that started it.
 */
export class RedisServer {
  private child: ChildProcess | undefined;
  private readonly endWithProcess = () => this.child?.kill('SIGKILL');

  private constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly settings: Readonly<Record<string, string>>,
  ) {
    process.once('exit', this.endWithProcess);
  }

  /** @param settings of the configuration file, such as `{ maxmemory: '4mb' }`. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'sparkle-redis-'));
    const server = new RedisServer(await freePort(), directory, settings);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** Starts the server again, empty and on the same port, ending it first if it runs. */
  async restart(): Promise<void> {
    await this.kill();
    const settings = {
      port: String(this.port),
      bind: HOST,
      dir: this.directory,
      save: '',
      appendonly: 'no',
      ...this.settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    this.child = await startServer(args);
    await until(async () => (await this.command('ping')) === 'PONG', `the Redis server on port ${this.port}`);
  }

  /** Runs one command through the command-line client and returns what it prints. */
  async command(...args: readonly string[]): Promise<string> {
    const { stdout } = await withEither('valkey-cli', 'redis-cli', (cli) =>
      run(cli, ['-h', HOST, '-p', String(this.port), ...args]),
    );
    return stdout.trim();
  }

  /** Freezes the server: connections stay open and nothing is answered. */
  stall(): void {
    this.child?.kill('SIGSTOP');
  }

  /** Lets a frozen server go on. */
  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Ends the server at once; its data is lost. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Ends the server and removes what it left. */
  async stop(): Promise<void> {
    await this.kill();
    process.off('exit', this.endWithProcess);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A Redis Cluster of primaries without replicas, for tests. */
export class RedisCluster {
  private constructor(readonly nodes: readonly RedisServer[]) {}

  /** Starts the nodes, spreads the slots over them and waits until all of them agree. */
  static async start(size = 3): Promise<RedisCluster> {
    const busPorts = await Promise.all(Array.from({ length: size }, freePort));
    const nodes = await Promise.all(
      busPorts.map((busPort) =>
        RedisServer.start({ 'cluster-enabled': 'yes', 'cluster-port': String(busPort) }),
      ),
    );
    const cluster = new RedisCluster(nodes);
    const slots = 16_384;
    for (const [index, node] of nodes.entries()) {
      const from = Math.floor((index * slots) / size);
      const to = Math.floor(((index + 1) * slots) / size) - 1;
      await node.command('cluster', 'addslotsrange', String(from), String(to));
      const [first] = nodes;
      if (first && first !== node)
        await node.command('cluster', 'meet', HOST, String(first.port), String(busPorts[0]));
    }
    for (const node of nodes)
      await until(async () => {
        const state = await node.command('cluster', 'info');
        return state.includes('cluster_state:ok') && state.includes(`cluster_size:${size}`);
      }, 'the cluster');
    return cluster;
  }

  /** Where to connect to, one address per node. */
  get endpoints(): readonly { readonly host: string; readonly port: number }[] {
    return this.nodes.map(({ port }) => ({ host: HOST, port }));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

function startServer(args: readonly string[]): Promise<ChildProcess> {
  return withEither('valkey-server', 'redis-server', async (program) => {
    const child = spawn(program, args, { stdio: 'ignore' });
    await once(child, 'spawn');
    return child;
  });
}

/** Uses the first of two programs that is installed. */
async function withEither<T>(
  first: string,
  second: string,
  use: (program: string) => Promise<T>,
): Promise<T> {
  try {
    return await use(first);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    return await use(second);
  } catch (error) {
    if (isMissing(error))
      throw new Error(`neither ${first} nor ${second} is installed; npm test installs what it needs`);
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
