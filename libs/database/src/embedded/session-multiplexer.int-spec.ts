import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { TestClock } from '@sparkle/contracts/testing';
import pg from 'pg';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Session, SessionMultiplexer } from './session-multiplexer.js';
import { message, readyForQuery } from './wire-protocol.js';

/** A session that knows transactions and nothing else. */
class FakeSession implements Session {
  readonly received: string[] = [];
  private status: 'I' | 'T' = 'I';

  async execute(messages: Buffer): Promise<Uint8Array> {
    const text = messages.toString('utf8', 5, messages.length - 1);
    this.received.push(text);
    if (text === 'BEGIN') this.status = 'T';
    if (/COMMIT|ROLLBACK/.test(text)) this.status = 'I';
    return Buffer.concat([message('C', text.split(' ')[0]!), readyForQuery(this.status)]);
  }
}

let clock: TestClock;
let session: FakeSession;
let multiplexer: SessionMultiplexer;
let server: Server;
let url: string;

beforeEach(async () => {
  clock = new TestClock();
  session = new FakeSession();
  multiplexer = new SessionMultiplexer({
    session,
    password: 'secret',
    parameters: { server_version: '17' },
    clock,
    idleInTransactionMs: 1_000,
    loginMs: 500,
    maxClients: 2,
    onFailure: (error) => {
      throw error;
    },
  });
  server = createServer({ allowHalfOpen: true }, (socket) => multiplexer.accept(socket)).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  url = `postgres://postgres:secret@127.0.0.1:${(server.address() as AddressInfo).port}/postgres`;
});
afterEach(async () => {
  await multiplexer.close();
  server.close();
});

async function client(): Promise<pg.Client> {
  const connected = new pg.Client(url);
  connected.on('error', () => undefined);
  await connected.connect();
  return connected;
}

it('cuts a client off that keeps its transaction waiting, and lets the next one in', async () => {
  const idle = await client();
  const failure = once(idle, 'error');
  await idle.query('BEGIN');
  const next = await client();
  const served = next.query('SELECT 1');
  await vi.waitFor(() => expect(clock.pendingTimers).toBeGreaterThan(0));
  await clock.advance(1_000);
  expect(String((await failure)[0])).toMatch(/idle-in-transaction/);
  await served;
  expect(session.received.filter((text) => !text.startsWith('RESET') && !text.startsWith('SET'))).toEqual([
    'BEGIN',
    'ROLLBACK',
    'SELECT 1',
  ]);
  await next.end();
});

it('lets in no more clients than it has room for, and none that does not log in', async () => {
  const first = await client();
  const second = await client();
  await expect(client()).rejects.toThrow(/too many clients/);
  await first.end();
  await second.end();
  const silent = connect((server.address() as AddressInfo).port, '127.0.0.1');
  silent.on('error', () => undefined);
  await vi.waitFor(() => expect(clock.pendingTimers).toBe(1));
  await clock.advance(500);
  await once(silent.resume(), 'close');
});

it('disconnects everybody and rolls back on close', async () => {
  const open = await client();
  const failure = once(open, 'error');
  await open.query('BEGIN');
  await multiplexer.close();
  expect(String((await failure)[0])).toMatch(/shutting down/);
  expect(session.received.at(-1)).toBe('ROLLBACK');
});
