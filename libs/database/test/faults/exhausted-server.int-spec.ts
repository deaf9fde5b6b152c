import { until } from '@sparkle/contracts/testing';
import {
  StatementTimeoutError,
  StorageFullError,
  TempFileLimitError,
  TooManyConnectionsError,
} from '@sparkle/database';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acme, addUser, FaultyServer, INSERT_USER } from './faulty-server.js';

let faulty: FaultyServer;
beforeAll(async () => {
  faulty = await FaultyServer.start({
    max_connections: '12',
    superuser_reserved_connections: '2',
    work_mem: '64kB',
    temp_file_limit: '1MB',
  });
  await faulty.query('CREATE ROLE plain LOGIN');
  await faulty.query('GRANT sparkle_app TO plain');
});
afterAll(() => faulty.stop());
beforeEach(() => faulty.query('DELETE FROM users'));
afterEach(() => faulty.closeAll());

describe('a server without room for another connection', () => {
  const url = () => faulty.server.urlOf('app', 'plain');
  let others: pg.Client[];

  /** Takes every connection that is not reserved for superusers. */
  async function fill(): Promise<void> {
    others = [];
    for (;;) {
      const client = new pg.Client({ connectionString: url() });
      client.on('error', () => undefined);
      try {
        await client.connect();
        others.push(client);
      } catch (error) {
        expect(error).toMatchObject({ code: '53300' });
        return;
      }
    }
  }
  afterEach(() => Promise.all(others.map((client) => client.end())));

  it('is asked again until the acquire timeout, and then named', async () => {
    const database = await faulty.open({ url: url(), pool: { acquireTimeoutMs: 300 } });
    await database.withTenant(acme, async () => {
      await fill();
      const work = Promise.all([1, 2, 3].map((id) => outside(() => addUser(database, `refused-${id}`))));
      await expect(work).rejects.toBeInstanceOf(TooManyConnectionsError);
    });
    expect(await faulty.users()).toEqual([]);
  });

  it('serves as soon as somebody leaves', async () => {
    const database = await faulty.open({ url: url() });
    await database.withTenant(acme, async () => {
      await fill();
      const waiting = outside(() => Promise.all([1, 2, 3].map((id) => addUser(database, `served-${id}`))));
      await until(
        async () => database.poolState.waiting > 0 || database.poolState.size >= 1,
        'those who wait',
      );
      await others.pop()!.end();
      await waiting;
    });
    expect(await faulty.users()).toEqual(['served-1', 'served-2', 'served-3']);
  });

  /** Runs work as another request would, although a transaction is open here. */
  function outside<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      requests.push(() => work().then(resolve, reject));
    });
  }
  const requests: (() => void)[] = [];
  const pump = setInterval(() => {
    for (const request of requests.splice(0)) request();
  }, 5);
  afterAll(() => clearInterval(pump));
});

describe('a statement that takes too much', () => {
  it('time is stopped by the server', async () => {
    const database = await faulty.open({ pool: { statementTimeoutMs: 50 } });
    const work = database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['undone']);
      await tx.query('SELECT pg_sleep(60)');
    });
    await expect(work).rejects.toBeInstanceOf(StatementTimeoutError);
    await addUser(database, 'next');
    expect(await faulty.users()).toEqual(['next']);
    expect(database.poolState).toMatchObject({ size: 1, checkedOut: 0 });
  });

  it('temporary disk space is stopped by the server', async () => {
    const database = await faulty.open({ url: faulty.server.urlOf('app', 'plain') });
    const work = database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['undone']);
      await tx.query('SELECT count(*) FROM (SELECT n FROM generate_series(1, 500000) n ORDER BY random()) t');
    });
    await expect(work).rejects.toBeInstanceOf(TempFileLimitError);
    await addUser(database, 'next');
    expect(await faulty.users()).toEqual(['next']);
  });
});

describe('a full disk', () => {
  // Where a file may not grow any more, PostgreSQL fails as on a full disk; unlike a file system of a few MB, that
  // limit can be set for one process by anybody.
  it('undoes the write and names the reason; reads and small writes go on, and all is well with more room', async () => {
    const database = await faulty.open({ pool: { size: 1, overflow: 0 } });
    await faulty.query('CREATE TABLE ballast (filler text)');
    await faulty.query('ALTER TABLE ballast ALTER filler SET STORAGE PLAIN');
    await faulty.query('GRANT ALL ON ballast TO sparkle_app');
    const pid = await database.withTenant(acme, async (tx) => {
      const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      return row!.pid;
    });
    const fill = () =>
      database.withTenant(acme, async (tx) => {
        await tx.query(INSERT_USER, ['with-ballast']);
        await tx.query("INSERT INTO ballast SELECT repeat('x', 7000) FROM generate_series(1, 4000)");
      });
    // Run by the server, for only its own account may do that.
    const limitFiles = (bytes: number | 'unlimited') =>
      faulty.query(`COPY (SELECT) TO PROGRAM 'prlimit --pid ${pid} --fsize=${bytes}:'`);
    await limitFiles(17 * 1024 * 1024);
    await expect(fill()).rejects.toBeInstanceOf(StorageFullError);
    await addUser(database, 'small');
    expect(await faulty.users()).toEqual(['small']);
    expect(await faulty.query('SELECT count(*)::int AS rows FROM ballast')).toEqual([{ rows: 0 }]);
    await limitFiles('unlimited');
    await fill();
    expect(await faulty.users()).toEqual(['small', 'with-ballast']);
  });
});
