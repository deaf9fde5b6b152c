import type { Clock } from '@sparkle/contracts';
import type { VerifiedToken } from '@sparkle/runtime';
import type { RawData, WebSocket } from 'ws';
import {
  ConnectionBusyError,
  RequestCancelledError,
  RequestInvalidError,
  ServerClosingError,
} from '../http/errors.js';
import { problemOf } from '../http/problem.filter.js';
import {
  ClientMessageError,
  type ClientRequest,
  parseClientMessage,
  type ServerMessage,
} from './messages.js';
import type { WebSocketOptions } from './web-socket.options.js';

/** Status codes of RFC 6455, section 7.4.1, and of our own from 4000 on. */
export const CLOSE = {
  goingAway: 1001,
  unsupportedData: 1003,
  policyViolation: 1008,
  tryAgainLater: 1013,
  tokenExpired: 4401,
} as const;

/**
 * Answers one request. `tell` resolves when the client can take more, and throws when it has left; an aborted
 * `signal` means that nobody waits for the answer any longer.
 */
export type ServeRequest = (
  request: ClientRequest,
  tell: (type: string, data: unknown) => Promise<void>,
  signal: AbortSignal,
) => Promise<void>;

/**
 * One client: several requests at once, told apart by their ids.
 *
 * Nothing here grows without bound. Requests are counted; an answer waits while its client does not read, which joins
 * the text that is written meanwhile; and a client that asks and asks without reading is closed.
 */
export class Connection {
  /** Settles when the client is gone, for whatever reason. */
  readonly closed: Promise<void>;
  private readonly requests = new Map<string, AbortController>();
  private invalidMessages = 0;
  private heard = true;
  private draining = false;

  constructor(
    private readonly socket: WebSocket,
    readonly caller: VerifiedToken,
    private readonly clock: Clock,
    private readonly options: WebSocketOptions,
    private readonly serve: ServeRequest,
  ) {
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const request of this.requests.values()) request.abort(new RequestCancelledError());
        resolve();
      });
    });
    // What is wrong with a client ends in its close; there is nobody to tell.
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => this.receive(data, isBinary));
    socket.on('pong', () => {
      this.heard = true;
    });
    socket.on('ping', () => {
      this.heard = true;
      this.refuseFlood();
    });
  }

  /** Asks the client whether it is there, and gives up one that did not say so since the last time. */
  beat(): void {
    if (this.hasExpired()) this.close(CLOSE.tokenExpired, 'the access token has expired');
    else if (!this.heard) this.socket.terminate();
    else {
      this.heard = false;
      this.socket.ping();
    }
  }

  /** Takes no new requests, and says good-bye after the last of those under way. */
  drain(): void {
    this.draining = true;
    this.leaveWhenIdle();
  }

  /** Cancels what is under way and says good-bye. */
  close(code: number, reason: string): void {
    this.socket.close(code, reason);
    for (const request of this.requests.values()) request.abort(new RequestCancelledError());
    const timer = this.clock.schedule(this.options.closeMs, () => this.socket.terminate());
    void this.closed.then(() => timer.cancel());
  }

  private receive(data: RawData, isBinary: boolean): void {
    this.heard = true;
    if (this.socket.readyState !== this.socket.OPEN || this.refuseFlood()) return;
    if (isBinary) {
      this.close(CLOSE.unsupportedData, 'messages are text');
      return;
    }
    if (this.hasExpired()) {
      this.close(CLOSE.tokenExpired, 'the access token has expired');
      return;
    }
    try {
      const message = parseClientMessage(data.toString());
      if (message.type === 'ping') this.send({ type: 'pong', id: message.id });
      else if (message.type === 'cancel') this.requests.get(message.id)?.abort(new RequestCancelledError());
      else this.begin(message);
    } catch (error) {
      if (!(error instanceof ClientMessageError)) throw error;
      // A request under way keeps its id for itself: an error under it would be taken for its end.
      const id = error.id !== undefined && this.requests.has(error.id) ? undefined : error.id;
      this.refuse(id, error.cause);
      this.invalidMessages += 1;
      if (this.invalidMessages >= this.options.maxInvalidMessages)
        this.close(CLOSE.policyViolation, 'too many messages that are not valid');
    }
  }

  private begin(request: ClientRequest): void {
    const { id } = request;
    if (this.requests.has(id)) {
      const issue = { path: 'id', message: `"${id}" names a request that is under way` };
      throw new ClientMessageError(id, new RequestInvalidError([issue]));
    }
    if (this.draining) this.refuse(id, new ServerClosingError());
    else if (this.requests.size >= this.options.requestsPerConnection)
      this.refuse(id, new ConnectionBusyError(this.options.requestsPerConnection));
    else void this.answer(request);
  }

  private async answer(request: ClientRequest): Promise<void> {
    const { id } = request;
    const controller = new AbortController();
    this.requests.set(id, controller);
    try {
      await this.serve(request, (type, data) => this.tell({ type, id, data }), controller.signal);
    } catch (error) {
      this.refuse(id, error);
    } finally {
      this.requests.delete(id);
      this.leaveWhenIdle();
    }
  }

  private async tell(message: ServerMessage): Promise<void> {
    if (this.socket.readyState !== this.socket.OPEN) throw new RequestCancelledError();
    const sent = this.send(message);
    if (this.socket.bufferedAmount > this.options.pauseAboveBytes) await Promise.race([sent, this.closed]);
  }

  private refuse(id: string | undefined, error: unknown): void {
    void this.send({ type: 'error', id, data: problemOf(error) });
  }

  /** Resolves when the message is on its way, or never will be. */
  private send(message: ServerMessage): Promise<void> {
    return new Promise((resolve) => this.socket.send(JSON.stringify(message), () => resolve()));
  }

  /** Replies to messages that are not requests wait for no room; too many of them are the client's own doing. */
  private refuseFlood(): boolean {
    if (this.socket.bufferedAmount <= this.options.maxBufferedBytes) return false;
    this.close(CLOSE.tryAgainLater, 'read what you have asked for');
    return true;
  }

  private hasExpired(): boolean {
    return this.clock.now() >= this.caller.expiresAt;
  }

  private leaveWhenIdle(): void {
    if (this.draining && this.requests.size === 0 && this.socket.readyState === this.socket.OPEN)
      this.close(CLOSE.goingAway, 'the server is shutting down');
  }
}
