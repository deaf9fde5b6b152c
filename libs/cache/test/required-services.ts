import { connect as connectTo, createServer, type Server, type Socket } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set. These tests need a real server; run them with npm test.`);
  return value;
}

export const redisUrl = () => required('TEST_REDIS_URL');
export const databaseUrl = () => required('TEST_DATABASE_URL');

/** Fails at once when the server is gone, as the cache expects of its connections. */
export const FAIL_FAST: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 50,
};

export async function openRedis(url = redisUrl(), options: RedisOptions = FAIL_FAST): Promise<Redis> {
  const connection = new Redis(url, { ...options, lazyConnect: true });
  connection.on('error', () => undefined);
  await connection.connect();
  return connection;
}

/** A TCP proxy in front of a server that can stall or refuse. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private stalled = false;
  private refusing = false;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async to(url: string): Promise<TcpProxy> {
    const target = new URL(url);
    let proxy: TcpProxy;
    const server = createServer((client) => proxy.join(client, Number(target.port), target.hostname));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    proxy = new TcpProxy(server, address.port);
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Connections stay open; nothing comes through any more. */
  stall(): void {
    this.stalled = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** What was held back comes through now. */
  resume(): void {
    this.stalled = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Cuts every connection and takes no new one. */
  refuse(): void {
    this.refusing = true;
    for (const socket of this.sockets) socket.destroy();
  }

  accept(): void {
    this.refusing = false;
  }

  async close(): Promise<void> {
    this.refuse();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private join(client: Socket, port: number, host: string): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const upstream = connectTo(port, host);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(from);
      from.on('data', (chunk) => to.write(chunk));
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
      if (this.stalled) from.pause();
    }
  }
}
