import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy in front of a service that can stop answering, answer late, or stop accepting, on demand. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;
  private stalled = false;
  private delayMs = 0;
  port = 0;

  constructor(
    private readonly targetHost: string,
    private readonly targetPort: number,
  ) {}

  static async to(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy(hostname, Number(port || 6379));
    await proxy.accept();
    return proxy;
  }

  /** The address to give to a Redis client. */
  get redisUrl(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Accepts connections (again), on the same port. */
  async accept(): Promise<void> {
    const server = createServer((client) => this.join(client));
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (typeof address === 'object' && address) this.port = address.port;
  }

  /** Keeps connections open and passes nothing on. */
  stall(): void {
    this.stalled = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Passes on what has piled up, and everything after it. */
  resume(): void {
    this.stalled = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Holds back each answer of the service for so long from now on. Zero: no longer. */
  delay(milliseconds: number): void {
    this.delayMs = milliseconds;
  }

  /** Cuts every connection and refuses new ones. */
  async refuse(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async close(): Promise<void> {
    await this.refuse();
  }

  private join(client: Socket): void {
    const upstream = connect(this.targetPort, this.targetHost);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(from);
      from.on('data', from === upstream ? this.answering(to) : (data) => to.write(data));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
      if (this.stalled) from.pause();
    }
  }

  /** Passes answers on in their order, each when its delay is over. */
  private answering(client: Socket): (data: Buffer) => void {
    const late: { readonly data: Buffer; readonly dueAt: number }[] = [];
    const passOn = () => {
      for (let next = late[0]; next; next = late[0]) {
        const remainingMs = next.dueAt - performance.now();
        if (remainingMs > 0) {
          setTimeout(passOn, remainingMs);
          return;
        }
        late.shift();
        if (!client.destroyed) client.write(next.data);
      }
    };
    return (data) => {
      late.push({ data, dueAt: performance.now() + this.delayMs });
      if (late.length === 1) passOn();
    };
  }
}
