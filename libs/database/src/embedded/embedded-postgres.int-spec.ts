import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTenantId } from '@sparkle/contracts';
import { createPostgresBackend, Queue, QueueEvents, Worker } from 'bullmq';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, databaseMigrations, migrate, openDatabase, parseDatabaseOptions } from '../index.js';
import { describeTenantIsolation } from '../testing/tenant-isolation.contract.js';
import { EmbeddedPostgres } from './index.js';
import { int32, message, PROTOCOL_3, splitMessages } from './wire-protocol.js';

let folder: string;
let postgres: EmbeddedPostgres;
let database: Database;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparkle-embedded-'));
  postgres = await EmbeddedPostgres.start({ dataDir: folder });
  const applied = await Promise.all([1, 2].map(() => migrate(postgres.url, databaseMigrations(8))));
  expect(applied.flat().sort()).toEqual(databaseMigrations(8).map((migration) => migration.name));
  database = await openDatabase(parseDatabaseOptions({ url: postgres.url }));
});
afterAll(async () => {
  await database?.close();
  await postgres?.stop();
  await rm(folder, { recursive: true });
});

async function withClients<T>(
  count: number,
  work: (...clients: pg.Client[]) => Promise<T>,
  config: pg.ClientConfig = {},
): Promise<T> {
  const clients = Array.from({ length: count }, () => {
    const client = new pg.Client({ connectionString: postgres.url, ...config });
    client.on('error', () => undefined);
    return client;
  });
  await Promise.all(clients.map((client) => client.connect()));
  try {
    return await work(...clients);
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}

/** Speaks the protocol message by message, as drivers other than pg do. */
class RawClient {
  private received = Buffer.alloc(0);
  private constructor(private readonly socket: Socket) {}

  static async connect(url: string): Promise<RawClient> {
    const { port, password } = new URL(url);
    const client = new RawClient(connect(Number(port), '127.0.0.1'));
    client.socket.on('data', (piece) => {
      client.received = Buffer.concat([client.received, piece]);
    });
    const body = Buffer.concat([int32(PROTOCOL_3), Buffer.from('user\0postgres\0\0')]);
    client.socket.write(Buffer.concat([int32(body.length + 4), body]));
    await client.exchange(message('p', password));
    return client;
  }

  /** Sends and collects up to "ready for query": message types, and first columns of the rows. */
  async exchange(bytes: Buffer): Promise<{ types: string; values: string[] }> {
    this.received = Buffer.alloc(0);
    this.socket.write(bytes);
    for (;;) {
      const messages = [...splitMessages(this.received)];
      if (messages.at(-1)?.type === 'Z') {
        const rows = messages.filter(({ type }) => type === 'D');
        return {
          types: messages.map(({ type }) => type).join(''),
          values: rows.map((row) => row.bytes.toString('utf8', 11)),
        };
      }
      await once(this.socket, 'data');
    }
  }

  close(): void {
    this.socket.end(message('X'));
  }
}

describeTenantIsolation(() => database);

describe('clients of the embedded database', () => {
  it('keep their transactions apart', () =>
    withClients(2, async (a, b) => {
      await a!.query('CREATE TABLE IF NOT EXISTS apart (n int)');
      await a!.query('BEGIN');
      await a!.query('INSERT INTO apart VALUES (1)');
      const seenByB = b!.query('SELECT count(*)::int AS n FROM apart');
      expect((await a!.query('SELECT count(*)::int AS n FROM apart')).rows).toEqual([{ n: 1 }]);
      await a!.query('ROLLBACK');
      expect((await seenByB).rows).toEqual([{ n: 0 }]);
    }));

  it('lose nothing when many transactions and extended-protocol batches run at once', async () => {
    const tenant = parseTenantId('acme');
    await Promise.all(
      Array.from({ length: 120 }, (_, index) =>
        database
          .withTenant(tenant, async (tx) => {
            await tx.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [tenant, `many-${index}`]);
            await tx.query('UPDATE users SET display_name = $1 WHERE id = $2', [
              `name ${index}`,
              `many-${index}`,
            ]);
            if (index % 4 === 0) throw new Error('undo');
          })
          .catch(() => undefined),
      ),
    );
    const rows = await database.withTenant(tenant, (tx) =>
      tx.query("SELECT id, display_name AS name FROM users WHERE id LIKE 'many-%'"),
    );
    expect(rows).toHaveLength(90);
    for (const { id, name } of rows) expect(name).toBe(String(id).replace('many-', 'name '));
  });

  it('that die in a transaction leave nothing and block nobody', () =>
    withClients(2, async (doomed, other) => {
      await other!.query('CREATE TABLE IF NOT EXISTS doomed (n int)');
      await doomed!.query('BEGIN');
      await doomed!.query('INSERT INTO doomed VALUES (1)');
      (doomed as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      expect((await other!.query('SELECT count(*)::int AS n FROM doomed')).rows).toEqual([{ n: 0 }]);
    }));

  it('do not see the settings or the role of others, and keep their own', () =>
    withClients(2, async (a, b) => {
      await a!.query("SET work_mem TO '7MB'");
      await a!.query('SET ROLE sparkle_app');
      await a!.query("SELECT set_config('sparkle.tenant_id', 'acme', false)");
      const look =
        "SELECT current_user::text AS role, current_setting('work_mem') AS mem, coalesce(current_setting('sparkle.tenant_id', true), '') AS tenant";
      expect((await b!.query(look)).rows).toEqual([{ role: 'postgres', mem: '4MB', tenant: '' }]);
      expect((await a!.query(look)).rows).toMatchObject([{ role: 'sparkle_app', mem: '7MB' }]);
      await a!.query('RESET work_mem');
      await b!.query('SELECT 1');
      expect((await a!.query('SHOW work_mem')).rows).toEqual([{ work_mem: '4MB' }]);
    }));

  it('do not keep settings of a transaction that was rolled back', () =>
    withClients(2, async (a, b) => {
      await a!.query('BEGIN');
      await a!.query("SET work_mem TO '9MB'");
      await a!.query('ROLLBACK');
      await b!.query('SELECT 1');
      expect((await a!.query('SHOW work_mem')).rows).toEqual([{ work_mem: '4MB' }]);
    }));

  it('get the settings they connected with, each time it is their turn', () =>
    withClients(
      2,
      async (a, b) => {
        await a!.query('CREATE SCHEMA IF NOT EXISTS "odd name"');
        for (const client of [a, b, a])
          expect((await client!.query('SHOW search_path')).rows).toEqual([
            { search_path: '"odd name", public' },
          ]);
      },
      { options: '-c search_path="odd\\ name",public' },
    ));

  it('have prepared statements of their own, named alike or not at all', () =>
    withClients(2, async (a, b) => {
      const ask = (client: pg.Client, text: string) => client.query({ name: 'same', text, rowMode: 'array' });
      expect((await ask(a!, 'SELECT 1')).rows).toEqual([[1]]);
      expect((await ask(b!, 'SELECT 2')).rows).toEqual([[2]]);
      expect((await ask(a!, 'SELECT 1')).rows).toEqual([[1]]);
      expect((await ask(b!, 'SELECT 2')).rows).toEqual([[2]]);
      expect(
        (await a!.query("SELECT count(*)::int AS n FROM pg_prepared_statements WHERE name LIKE '%same'"))
          .rows,
      ).toEqual([{ n: 2 }]);
    }));

  it('keep an unnamed statement between batches although others use the session', async () => {
    const [a, b] = await Promise.all([RawClient.connect(postgres.url), RawClient.connect(postgres.url)]);
    const noParameters = Buffer.alloc(2);
    const parse = (text: string) => Buffer.concat([message('P', '', text, noParameters), message('S')]);
    const run = Buffer.concat([
      message('B', '', '', Buffer.alloc(6)),
      message('E', '', Buffer.alloc(4)),
      message('S'),
    ]);
    expect(await a.exchange(parse("SELECT 'of a'"))).toMatchObject({ types: '1Z' });
    expect(await b.exchange(parse("SELECT 'of b'"))).toMatchObject({ types: '1Z' });
    expect(await a.exchange(run)).toEqual({ types: '2DCZ', values: ['of a'] });
    expect(await b.exchange(run)).toEqual({ types: '2DCZ', values: ['of b'] });
    a.close();
    b.close();
  });

  it('hear what they listen to, and only that', () =>
    withClients(3, async (a, b, sender) => {
      const heard: string[] = [];
      a!.on('notification', (note) => heard.push(`a:${note.channel}:${note.payload}`));
      b!.on('notification', (note) => heard.push(`b:${note.channel}:${note.payload}`));
      await a!.query('LISTEN news; LISTEN "Other News"');
      await b!.query('-- as BullMQ sends it\n/* with a comment */ LISTEN news;\n');
      await sender!.query("SELECT pg_notify('news', '1'), pg_notify('Other News', '2')");
      await b!.query('UNLISTEN news');
      await sender!.query("NOTIFY news, '3'");
      await Promise.all([a!.query('SELECT 1'), b!.query('SELECT 1')]);
      expect(heard.sort()).toEqual(['a:Other News:2', 'a:news:1', 'a:news:3', 'b:news:1']);
    }));

  it('get an error for COPY FROM STDIN, and the database goes on', () =>
    withClients(1, async (a) => {
      await expect(a!.query('COPY tenants (id, name) FROM STDIN')).rejects.toThrow(/not available/);
      expect((await a!.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    }));

  it('are refused with a wrong password', async () => {
    const url = new URL(postgres.url);
    url.password = 'guess';
    await expect(new pg.Client(url.href).connect()).rejects.toThrow(/password authentication failed/);
  });

  it.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a huge startup packet', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
    ['a tiny startup packet', Buffer.from([0, 0, 0, 1, 0, 3, 0, 0])],
  ])('are cut off for sending %s', async (_, bytes) => {
    const socket = connect(Number(new URL(postgres.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes);
    await once(socket, 'close');
    expect((await withClients(1, (client) => client!.query('SELECT 1 AS one'))).rows).toEqual([{ one: 1 }]);
  });

  it('can cancel a statement that waits for its turn', () =>
    withClients(2, async (holder, waiting) => {
      await holder!.query('BEGIN');
      const held = waiting!.query('SELECT 1');
      const failure = expect(held).rejects.toMatchObject({ code: '57014' });
      const { processID, secretKey } = waiting as unknown as { processID: number; secretKey: number };
      const request = Buffer.alloc(16);
      [16, 80877102, processID, secretKey].forEach((value, index) => {
        request.writeInt32BE(value, index * 4);
      });
      let cancelled = false;
      void failure.then(() => {
        cancelled = true;
      });
      // The statement travels on another connection: a request that overtakes it finds nothing to cancel.
      while (!cancelled) {
        const socket = connect(Number(new URL(postgres.url).port), '127.0.0.1');
        socket.end(request);
        await once(socket.resume(), 'close');
      }
      await failure;
      await holder!.query('COMMIT');
      expect((await waiting!.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }]);
    }));
});

describe('BullMQ on the embedded database', () => {
  it('processes, retries and reports jobs while TypeORM writes', async () => {
    const connection = { connectionString: postgres.url, max: 3, migrate: true };
    const queue = new Queue('embedded', { connection }, createPostgresBackend);
    const events = new QueueEvents('embedded', { connection, blockingTimeout: 1_000 }, createPostgresBackend);
    queue.setMaxListeners(100);
    await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
    let failed = false;
    const worker = new Worker(
      'embedded',
      async (job) => {
        if (job.data.index === 3 && !failed) {
          failed = true;
          throw new Error('once');
        }
        return database.withTenant(parseTenantId('globex'), async (tx) => {
          await tx.query("INSERT INTO users (tenant_id, id) VALUES ('globex', $1)", [
            `job-${job.data.index}`,
          ]);
          return job.data.index;
        });
      },
      { connection, concurrency: 4, drainDelay: 1 },
      createPostgresBackend,
    );
    try {
      const jobs = await queue.addBulk(
        Array.from({ length: 30 }, (_, index) => ({ name: 'job', data: { index }, opts: { attempts: 2 } })),
      );
      const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20_000)));
      expect(results).toEqual(jobs.map((_, index) => index));
      const rows = await database.withTenant(parseTenantId('globex'), (tx) =>
        tx.query("SELECT id FROM users WHERE id LIKE 'job-%'"),
      );
      expect(rows).toHaveLength(30);
    } finally {
      await worker.close();
      await events.close();
      await queue.close();
    }
  });
});
