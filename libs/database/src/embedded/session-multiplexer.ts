import { randomInt, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Clock, ClockTimer } from '@sparkle/contracts';
import { SessionState } from './session-state.js';
import {
  CANCEL_REQUEST,
  errorResponse,
  FrameReader,
  GSS_REQUEST,
  int32,
  MAX_MESSAGE_BYTES,
  MAX_PASSWORD_BYTES,
  MAX_STARTUP_BYTES,
  message,
  PROTOCOL_3,
  parseStartup,
  readCString,
  readyForQuery,
  SSL_REQUEST,
  splitMessages,
  startupSettings,
  type TransactionStatus,
} from './wire-protocol.js';

/** The one database session there is. */
export interface Session {
  /** Sends whole frontend messages and returns the whole reply. */
  execute(messages: Buffer): Promise<Uint8Array>;
}

export interface MultiplexerOptions {
  session: Session;
  password: string;
  /** Settings reported to a client after its log-in. */
  parameters: Readonly<Record<string, string>>;
  clock: Clock;
  /** How long a transaction may wait for its client before the client is cut off. */
  idleInTransactionMs: number;
  /** How long a client may take to log in. */
  loginMs: number;
  maxClients: number;
  /** The session failed beyond repair. */
  onFailure(error: unknown): void;
}

/** Messages that end a batch: Query, Sync, Flush, FunctionCall, CopyDone, CopyFail, Terminate. */
const ENDS_BATCH = new Set(['Q', 'S', 'H', 'F', 'c', 'f', 'X']);
const TERMINATE = message('X');

const COPY_FROM_CLIENT = /(?:^|[;\0])\s*COPY\b[^;']*\bFROM\s+STDIN\b/i;
/** Fails as the server would, so that a transaction in progress is aborted too. */
const REFUSE_COPY = `DO $$ BEGIN
  RAISE EXCEPTION 'COPY FROM STDIN is not available in the embedded database' USING ERRCODE = '0A000';
END $$`;

interface Batch {
  /** Messages as sent to the server. */
  bytes: Buffer;
  /** Replies "parse complete" that the client did not ask for. */
  hiddenParses: number;
  /** The unnamed statement belongs to this client afterwards. */
  parsesUnnamed: boolean;
}

/**
 * Lends one session to many clients, one at a time: from a client's first complete batch until the server
 * reports "idle" after it. So neither the messages of an extended-protocol batch nor the statements of a
 * transaction of two clients ever mix. Between two owners the session is reset and given the next one's
 * settings. Notifications go to the clients that listen.
 */
export class SessionMultiplexer {
  private readonly clients = new Set<Client>();
  private readonly queue: Client[] = [];
  private owner: Client | undefined;
  /** Whose settings the session has. */
  private configuredFor: Client | undefined;
  /** Who last parsed the unnamed prepared statement. */
  private unnamedOwner: Client | undefined;
  /** Statements that undo what clients left behind, to run when the session is free. */
  private readonly cleanup: string[] = [];
  private nextId = 1;
  private closing = false;
  private idle: (() => void) | undefined;

  constructor(readonly options: MultiplexerOptions) {}

  /** Serves a new connection. */
  accept(socket: Socket): void {
    if (this.closing || this.clients.size >= this.options.maxClients) {
      socket.end(errorResponse('FATAL', '53300', 'sorry, too many clients already'));
      return;
    }
    this.clients.add(new Client(this, socket, this.nextId++));
  }

  /** Disconnects every client, rolling back their transactions, and resolves when the session is free. */
  async close(): Promise<void> {
    this.closing = true;
    for (const client of [...this.clients])
      client.disconnect(errorResponse('FATAL', '57P01', 'the embedded database is shutting down'));
    if (this.owner) await new Promise<void>((resolve) => (this.idle = resolve));
  }

  /** The client has a complete batch. */
  ready(client: Client): void {
    if (this.owner === client || client.queued) return;
    client.queued = true;
    this.queue.push(client);
    this.next();
  }

  isLentTo(client: Client): boolean {
    return this.owner === client;
  }

  gone(client: Client): void {
    this.clients.delete(client);
    const state = client.state;
    if (!state) return;
    for (const name of state.statements) this.cleanup.push(`DEALLOCATE ${quoteIdentifier(name)}`);
    for (const channel of state.channels)
      if (!this.isListenedTo(channel)) this.cleanup.push(`UNLISTEN ${quoteIdentifier(channel)}`);
  }

  /** Answers a cancel request by failing the client's batch if it still waits for the session. */
  cancel(processId: number, secret: number): void {
    for (const client of this.clients) {
      if (client.id !== processId || client.secret !== secret) continue;
      if (this.owner === client || !client.takeBatch()) return;
      client.send(
        Buffer.concat([
          errorResponse('ERROR', '57014', 'canceling statement due to user request'),
          readyForQuery('I'),
        ]),
      );
    }
  }

  private next(): void {
    if (this.owner) return;
    const client = this.queue.shift();
    if (!client) {
      this.idle?.();
      return;
    }
    client.queued = false;
    if (client.dead || !client.hasBatch) {
      this.next();
      return;
    }
    this.owner = client;
    this.lend(client)
      .catch((error) => {
        client.disconnect(errorResponse('FATAL', 'XX000', 'the embedded database failed'));
        this.options.onFailure(error);
      })
      .finally(() => {
        this.owner = undefined;
        if (client.hasBatch && !client.dead) this.ready(client);
        this.next();
      });
  }

  private async lend(client: Client): Promise<void> {
    if (!(await this.configure(client))) return;
    let status: TransactionStatus | 'B' = 'I';
    client.failed = false;
    do {
      const batch = await this.nextBatch(client);
      if (!batch) break;
      status = (await this.run(client, batch)) ?? 'B';
    } while (status !== 'I' && !client.dead);
    if (status !== 'I') await this.abandon(status);
    client.state!.settle(status === 'I' && !client.failed && client.lastTag !== 'ROLLBACK');
    await this.relisten(client);
  }

  /** The owner's next batch; `undefined` when it left or kept its transaction waiting for too long. */
  private async nextBatch(client: Client): Promise<Batch | undefined> {
    if (!client.hasBatch && !client.dead) {
      const arrived = await client.waitForBatch(this.options.clock, this.options.idleInTransactionMs);
      if (!arrived && !client.dead)
        client.disconnect(
          errorResponse('FATAL', '25P03', 'terminating connection due to idle-in-transaction timeout'),
        );
    }
    const messages = client.dead ? undefined : client.takeBatch();
    if (!messages) return undefined;
    if (messages.at(-1)![0] === TERMINATE[0]) {
      client.disconnect(Buffer.alloc(0));
      return undefined;
    }
    return this.prepare(client, messages);
  }

  private prepare(client: Client, messages: readonly Buffer[]): Batch {
    if (messages.some(copiesFromClient)) {
      return { bytes: message('Q', REFUSE_COPY), hiddenParses: 0, parsesUnnamed: true };
    }
    const state = client.state!;
    const parts: Buffer[] = [];
    let hiddenParses = 0;
    let parsesUnnamed = false;
    for (const bytes of messages) {
      const type = String.fromCharCode(bytes[0]!);
      if (type === 'Q') {
        state.observe(readCString(bytes, 5).text);
        // A simple query drops the unnamed statement.
        state.unnamedStatement = undefined;
        parsesUnnamed = true;
      } else if (type === 'P') {
        const name = readCString(bytes, 5);
        state.observe(readCString(bytes, name.next).text);
        if (name.text === '') {
          state.unnamedStatement = bytes;
          parsesUnnamed = true;
        }
      } else if (usesUnnamed(type, bytes) && !parsesUnnamed && this.unnamedOwner !== client) {
        // Another client's statement is in its place by now.
        if (state.unnamedStatement) {
          parts.push(state.unnamedStatement);
          hiddenParses++;
        } else parts.push(message('C', Buffer.from('S'), ''));
        parsesUnnamed = true;
      }
      parts.push('PBDC'.includes(type) ? state.rename(bytes) : bytes);
    }
    return { bytes: Buffer.concat(parts), hiddenParses, parsesUnnamed };
  }

  private async run(client: Client, batch: Batch): Promise<TransactionStatus | undefined> {
    if (batch.parsesUnnamed) this.unnamedOwner = client;
    const reply = Buffer.from(await this.options.session.execute(batch.bytes));
    let status: TransactionStatus | undefined;
    let hidden = batch.hiddenParses;
    const forClient: Buffer[] = [];
    for (const { type, bytes } of splitMessages(reply)) {
      if (type === 'A') this.notify(bytes);
      else if (type === '1' && hidden > 0) hidden--;
      else {
        if (type === 'Z') status = String.fromCharCode(bytes[5]!) as TransactionStatus;
        if (type === 'E') client.failed = true;
        if (type === 'C') client.lastTag = readCString(bytes, 5).text;
        forClient.push(bytes);
      }
    }
    client.send(Buffer.concat(forClient));
    return status;
  }

  /** Runs statements of our own; true when none failed. */
  private async execute(text: string): Promise<boolean> {
    const reply = Buffer.from(await this.options.session.execute(message('Q', text)));
    let succeeded = true;
    for (const { type, bytes } of splitMessages(reply)) {
      if (type === 'A') this.notify(bytes);
      if (type === 'E') succeeded = false;
    }
    return succeeded;
  }

  /** Makes the session the client's. */
  private async configure(client: Client): Promise<boolean> {
    for (const statement of this.cleanup.splice(0)) await this.execute(statement);
    if (this.configuredFor === client) return true;
    const previous = this.configuredFor?.state;
    if (previous?.leavesObjects) {
      previous.leavesObjects = false;
      await this.execute('CLOSE ALL; SELECT pg_advisory_unlock_all(); DISCARD TEMP');
    }
    this.configuredFor = undefined;
    await this.execute('RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL');
    const { setup } = client.state!;
    if (setup && !(await this.execute(setup))) {
      client.disconnect(errorResponse('FATAL', '22023', 'a setting of this connection is not valid'));
      return false;
    }
    this.configuredFor = client;
    return true;
  }

  /** Ends what a client that left, or was cut off, had begun. */
  private async abandon(status: TransactionStatus | 'B'): Promise<void> {
    if (status === 'B') await this.options.session.execute(message('S'));
    await this.execute('ROLLBACK');
  }

  /** One client's UNLISTEN must not silence the others. */
  private async relisten(client: Client): Promise<void> {
    if (!client.state!.unlistened) return;
    client.state!.unlistened = false;
    const wanted = new Set([...this.clients].flatMap((other) => [...(other.state?.channels ?? [])]));
    for (const channel of wanted) await this.execute(`LISTEN ${quoteIdentifier(channel)}`);
  }

  private notify(bytes: Buffer): void {
    const channel = readCString(bytes, 9).text;
    for (const client of this.clients) if (client.state?.channels.has(channel)) client.send(bytes);
  }

  private isListenedTo(channel: string): boolean {
    return [...this.clients].some((client) => client.state?.channels.has(channel));
  }
}

/** One connection: its log-in, its unread messages, and its idea of the session. */
class Client {
  readonly secret = randomInt(2 ** 31 - 1);
  state: SessionState | undefined;
  queued = false;
  dead = false;
  /** Command tag of the last statement. */
  lastTag = '';
  /** A statement failed since the session was lent. */
  failed = false;
  private readonly frames = new FrameReader();
  private inbox: Buffer[] = [];
  /** Complete batches in the inbox. */
  private batches = 0;
  private startup: Map<string, string> | undefined;
  private wake: (() => void) | undefined;
  private readonly loginTimer: ClockTimer;

  constructor(
    private readonly multiplexer: SessionMultiplexer,
    private readonly socket: Socket,
    readonly id: number,
  ) {
    const { clock, loginMs } = multiplexer.options;
    this.loginTimer = clock.schedule(loginMs, () => socket.destroy());
    socket.setNoDelay(true);
    socket.on('data', (piece) => {
      this.frames.push(piece);
      while (!this.dead && this.readFrame());
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.leave());
    // What was sent before the goodbye still counts.
    socket.on('end', () => (this.state ? this.receive(TERMINATE) : this.leave()));
  }

  get hasBatch(): boolean {
    return this.batches > 0;
  }

  /** The messages of the first complete batch. */
  takeBatch(): Buffer[] | undefined {
    if (this.batches === 0) return undefined;
    const end = this.inbox.findIndex((bytes) => ENDS_BATCH.has(String.fromCharCode(bytes[0]!)));
    this.batches--;
    return this.inbox.splice(0, end + 1);
  }

  /** Resolves with whether a batch arrived in time; also when the client leaves. */
  waitForBatch(clock: Clock, limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = clock.schedule(limitMs, () => this.wake?.());
      this.wake = () => {
        this.wake = undefined;
        timer.cancel();
        resolve(this.hasBatch);
      };
    });
  }

  send(bytes: Buffer): void {
    if (bytes.length > 0 && this.socket.writable) this.socket.write(bytes);
  }

  disconnect(farewell: Buffer): void {
    if (this.socket.writable) this.socket.end(farewell);
    this.leave();
  }

  private leave(): void {
    if (this.dead) return;
    this.dead = true;
    this.loginTimer.cancel();
    this.multiplexer.gone(this);
    this.wake?.();
    // A peer that never closes its side must not keep the socket.
    this.socket.destroySoon();
  }

  /** Handles the next complete frame; false when there is none. */
  private readFrame(): boolean {
    if (!this.startup) return this.readStartup();
    const head = this.frames.peek(5);
    if (!head) return false;
    const length = head.readInt32BE(1);
    const limit = this.state ? MAX_MESSAGE_BYTES : MAX_PASSWORD_BYTES;
    if (length < 4 || length > limit) {
      this.disconnect(errorResponse('FATAL', '08P01', 'invalid message length'));
      return false;
    }
    if (!this.frames.peek(1 + length)) return false;
    const bytes = this.frames.take(1 + length);
    if (this.state) this.receive(bytes);
    else this.authenticate(bytes, this.startup);
    return true;
  }

  private readStartup(): boolean {
    const head = this.frames.peek(8);
    if (!head) return false;
    const length = head.readInt32BE(0);
    const code = head.readInt32BE(4);
    if (length < 8 || length > MAX_STARTUP_BYTES) {
      this.socket.destroy();
      this.leave();
      return false;
    }
    if (!this.frames.peek(length)) return false;
    const body = this.frames.take(length).subarray(8);
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.send(Buffer.from('N'));
      return true;
    }
    if (code === CANCEL_REQUEST) {
      if (body.length >= 8) this.multiplexer.cancel(body.readInt32BE(0), body.readInt32BE(4));
      this.socket.end();
      this.leave();
      return false;
    }
    if (code !== PROTOCOL_3) {
      this.disconnect(errorResponse('FATAL', '0A000', 'unsupported frontend protocol'));
      return false;
    }
    this.startup = parseStartup(body);
    this.send(message('R', int32(3)));
    return true;
  }

  private authenticate(bytes: Buffer, startup: Map<string, string>): void {
    const { password, parameters } = this.multiplexer.options;
    const given = Buffer.from(bytes[0] === 0x70 ? readCString(bytes, 5).text : '');
    const expected = Buffer.from(password);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      this.disconnect(errorResponse('FATAL', '28P01', 'password authentication failed'));
      return;
    }
    this.loginTimer.cancel();
    this.state = new SessionState(this.id, startupSettings(startup));
    this.send(
      Buffer.concat([
        message('R', int32(0)),
        ...Object.entries(parameters).map(([name, value]) => message('S', name, value)),
        message('K', int32(this.id), int32(this.secret)),
        readyForQuery('I'),
      ]),
    );
  }

  private receive(bytes: Buffer): void {
    const type = String.fromCharCode(bytes[0]!);
    if (type === 'X' && !this.hasBatch && !this.multiplexer.isLentTo(this)) {
      this.disconnect(Buffer.alloc(0));
      return;
    }
    this.inbox.push(bytes);
    if (!ENDS_BATCH.has(type)) return;
    this.batches++;
    this.wake?.();
    this.multiplexer.ready(this);
  }
}

/** True for a Bind or a Describe of the unnamed prepared statement. */
function usesUnnamed(type: string, bytes: Buffer): boolean {
  if (type === 'B') return readCString(bytes, readCString(bytes, 5).next).text === '';
  return type === 'D' && bytes[5] === 0x53 && bytes[6] === 0;
}

/** True for COPY … FROM STDIN, during which PGlite would wait for input that cannot reach it, for ever. */
function copiesFromClient(bytes: Buffer): boolean {
  const type = String.fromCharCode(bytes[0]!);
  if (type !== 'Q' && type !== 'P') return false;
  return COPY_FROM_CLIENT.test(bytes.toString('latin1', 5));
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
