import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import {
  type AskCall,
  answeredOf,
  type Credentials,
  type Door,
  type Outcome,
  problemOf,
  type SayCall,
  type Wire,
} from './door.js';

/** A message of the server. */
export interface Told {
  readonly type: string;
  readonly id?: string;
  readonly data?: Wire;
}

/** One connection, as a client holds it. */
export class WebSocketClient {
  readonly told: Told[] = [];
  private sleepers: (() => void)[] = [];
  private numbers = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data) => {
      this.told.push(JSON.parse(String(data)));
      this.wake();
    });
    socket.on('close', () => this.wake());
    socket.on('error', () => {});
  }

  /** Connects, or resolves with the problem the handshake was refused with. */
  static async open(
    address: string,
    options: { token?: string | undefined; protocols?: string[]; headers?: Record<string, string> } = {},
  ): Promise<WebSocketClient | { readonly response: IncomingMessage; readonly body: Wire }> {
    const { token, protocols = [], headers = {} } = options;
    const socket = new WebSocket(`${address.replace('http', 'ws')}/v1/ws`, protocols, {
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    });
    const client = new WebSocketClient(socket);
    const refused = new Promise<IncomingMessage>((resolve) =>
      socket.once('unexpected-response', (_request, response) => resolve(response)),
    );
    const response = await Promise.race([once(socket, 'open').then(() => undefined), refused]);
    if (response === undefined) return client;
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { response, body: JSON.parse(text) };
  }

  /** Connects, and fails when it cannot. */
  static async connect(
    address: string,
    token: string,
    headers?: Record<string, string>,
  ): Promise<WebSocketClient> {
    const opened = await WebSocketClient.open(address, { token, ...(headers && { headers }) });
    if (opened instanceof WebSocketClient) return opened;
    throw new Error(`refused: ${JSON.stringify(opened.body)}`);
  }

  say(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  nextId(): string {
    this.numbers += 1;
    return `r${this.numbers}`;
  }

  /** The first message that fits, waiting for it; `undefined` when the connection ends before. */
  async next(fits: (told: Told) => boolean): Promise<Told | undefined> {
    for (;;) {
      const index = this.told.findIndex(fits);
      if (index >= 0) return this.told.splice(index, 1)[0];
      if (this.socket.readyState === WebSocket.CLOSED) return undefined;
      await new Promise<void>((resolve) => this.sleepers.push(resolve));
    }
  }

  private wake(): void {
    for (const resolve of this.sleepers.splice(0)) resolve();
  }

  /** Everything told under `id` up to its end. */
  async replies(id: string): Promise<Told[]> {
    const replies: Told[] = [];
    for (;;) {
      const told = await this.next((message) => message.id === id);
      if (!told) throw new Error('the connection ended before the request');
      replies.push(told);
      if (['answer', 'error', 'conversation', 'pong'].includes(told.type)) return replies;
    }
  }

  async closed(): Promise<{ code: number; reason: string }> {
    if (this.socket.readyState === WebSocket.CLOSED) return { code: -1, reason: '' };
    const [code, reason] = await once(this.socket, 'close');
    return { code, reason: String(reason) };
  }
}

/** A connection for each call, with the token in its handshake. */
export class WebSocketDoor implements Door {
  readonly name = 'WebSocket';

  constructor(private readonly address: string) {}

  ask({ token, signal, ...question }: AskCall): Promise<Outcome> {
    return this.request({ type: 'ask', ...question }, { token, signal });
  }

  say({ token, signal, ...saying }: SayCall): Promise<Outcome> {
    return this.request({ type: 'chat', ...saying }, { token, signal });
  }

  close(): void {}

  private async request(message: object, { token, signal }: Credentials): Promise<Outcome> {
    const opened = await WebSocketClient.open(this.address, { token });
    if (!(opened instanceof WebSocketClient)) {
      const rateLimit = opened.response.headers.ratelimit as string | undefined;
      return { problem: problemOf(opened.body), rateLimit, events: [] };
    }
    signal?.addEventListener('abort', () => opened.say({ type: 'cancel', id: 'r' }));
    opened.say({ ...message, id: 'r' });
    const replies = await opened.replies('r');
    opened.socket.close();
    const { type, data } = replies.pop()!;
    const limits = replies.find((reply) => reply.type === 'limits');
    const events = replies
      .filter((reply) => reply !== limits)
      .map((reply) => ({ type: reply.type, data: reply.data }));
    const rateLimit = limits?.data.RateLimit;
    return type === 'error'
      ? { problem: problemOf(data), rateLimit, events }
      : { answered: answeredOf(data), rateLimit, events };
  }
}
