import { EventEmitter } from 'node:events';
import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { Connection, type ServeRequest } from '../../src/websocket/connection.js';
import { WEB_SOCKET_DEFAULTS } from '../../src/websocket/web-socket.options.js';

/** A client's end that does what it is told, and keeps what it was sent until it reads. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  reads = true;
  pings = 0;
  closedWith: number | 'terminated' | undefined;
  readonly sent: { type: string; id?: string; data?: { code?: string } }[] = [];
  private unread: (() => void)[] = [];

  send(text: string, done: () => void): void {
    this.sent.push(JSON.parse(text));
    if (this.reads) {
      done();
      return;
    }
    this.bufferedAmount += text.length;
    this.unread.push(done);
  }

  read(): void {
    this.reads = true;
    this.bufferedAmount = 0;
    for (const done of this.unread.splice(0)) done();
  }

  ping(): void {
    this.pings += 1;
  }

  close(code: number): void {
    this.closedWith ??= code;
    this.readyState = 2;
  }

  terminate(): void {
    this.closedWith ??= 'terminated';
    this.readyState = 3;
    this.emit('close');
  }

  hear(message: object): void {
    this.emit('message', Buffer.from(JSON.stringify(message)), false);
  }
}

const ASK = { type: 'ask', id: 'a', question: 'Why?' };

describe('a connection', () => {
  let clock: TestClock;
  let socket: FakeSocket;

  beforeEach(() => {
    clock = new TestClock();
    socket = new FakeSocket();
  });

  function connect(serve: ServeRequest = async () => {}, lifetimeMs = 3_600_000) {
    const principal = { tenantId: parseTenantId('demo'), userId: 'alice', scopes: ['read'] };
    const caller = { principal, expiresAt: clock.now() + lifetimeMs };
    return new Connection(socket as unknown as WebSocket, caller, clock, WEB_SOCKET_DEFAULTS, serve);
  }

  const settle = () => clock.advance(0);

  it('asks whether its client is there, and gives up one that has not been heard since', () => {
    const connection = connect();
    connection.beat();
    expect(socket.pings).toBe(1);
    socket.emit('pong');
    connection.beat();
    socket.hear({ type: 'ping' });
    connection.beat();
    expect([socket.pings, socket.closedWith]).toEqual([3, undefined]);
    connection.beat();
    expect(socket.closedWith).toBe('terminated');
  });

  it('ends with its token: at the next beat, or at the first message after', async () => {
    const idle = connect(undefined, 60_000);
    await clock.advance(60_000);
    idle.beat();
    expect(socket.closedWith).toBe(4401);

    socket = new FakeSocket();
    let served = 0;
    connect(async () => {
      served += 1;
    }, 1_000);
    socket.hear(ASK);
    await clock.advance(1_000);
    socket.hear({ ...ASK, id: 'b' });
    expect([served, socket.closedWith]).toEqual([1, 4401]);
  });

  it('gives up a client that does not answer the end of its connection', async () => {
    const connection = connect();
    let gone = false;
    void connection.closed.then(() => {
      gone = true;
    });
    connection.close(1001, 'bye');
    await clock.advance(WEB_SOCKET_DEFAULTS.closeMs - 1);
    expect(gone).toBe(false);
    await clock.advance(1);
    expect(gone).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits with an answer while its client does not read, and goes on when it does', async () => {
    const told: number[] = [];
    connect(async (_request, tell) => {
      for (let number = 0; number < 10; number++) {
        await tell('delta', { text: 'x'.repeat(30_000) });
        told.push(number);
      }
    });
    socket.reads = false;
    socket.hear(ASK);
    await settle();
    const before = told.length;
    expect(before).toBeLessThan(4);
    expect(socket.bufferedAmount).toBeLessThan(WEB_SOCKET_DEFAULTS.pauseAboveBytes + 31_000);
    socket.read();
    await settle();
    expect(told).toHaveLength(10);
  });

  it('closes a client that asks and asks without reading', () => {
    connect();
    socket.reads = false;
    let messages = 0;
    while (socket.closedWith === undefined && messages < 1e6) {
      socket.hear({ type: 'ping', id: 'x'.repeat(60) });
      messages += 1;
    }
    expect(socket.closedWith).toBe(1013);
    expect(socket.bufferedAmount).toBeLessThan(WEB_SOCKET_DEFAULTS.maxBufferedBytes + 100);
  });

  it('takes nothing new while it drains, and says good-bye after the last answer', async () => {
    let finish = () => {};
    const connection = connect(async (_request, tell) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      await tell('answer', {});
    });
    socket.hear(ASK);
    connection.drain();
    expect(socket.closedWith).toBeUndefined();
    socket.hear({ ...ASK, id: 'b' });
    expect(socket.sent).toMatchObject([{ type: 'error', id: 'b', data: { code: 'SERVER_CLOSING' } }]);
    finish();
    await settle();
    expect(socket.sent.at(-1)).toMatchObject({ type: 'answer', id: 'a' });
    expect(socket.closedWith).toBe(1001);
  });

  it('says good-bye at once when there is nothing to wait for', () => {
    connect().drain();
    expect(socket.closedWith).toBe(1001);
  });

  it('cancels what is under way when its client leaves, and tells nobody', async () => {
    let signal: AbortSignal | undefined;
    let failure: unknown;
    connect(async (_request, tell, given) => {
      signal = given;
      await new Promise((resolve) => given.addEventListener('abort', resolve));
      await tell('answer', {}).catch((error: unknown) => {
        failure = error;
        throw error;
      });
    });
    socket.hear(ASK);
    socket.terminate();
    await settle();
    expect(signal!.aborted).toBe(true);
    expect(failure).toMatchObject({ code: 'REQUEST_CANCELLED' });
  });
});
