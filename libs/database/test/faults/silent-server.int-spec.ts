import { TestClock, until } from '@sparkle/contracts/testing';
import { CommitOutcomeUnknownError, type Database, ServerSilentError } from '@sparkle/database';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acme, addUser, FaultyServer, INSERT_USER, outcomeOf } from './faulty-server.js';

let faulty: FaultyServer;
beforeAll(async () => {
  faulty = await FaultyServer.start();
});
afterAll(() => faulty.stop());
beforeEach(() => faulty.query('DELETE FROM users'));
afterEach(async () => {
  await faulty.server.resume();
  await faulty.closeAll();
});

/** Short bounds, so that the tests need not wait for half a minute. */
const IMPATIENT = {
  acquireTimeoutMs: 1_500,
  connectTimeoutMs: 300,
  livenessTimeoutMs: 300,
  statementTimeoutMs: 300,
  answerGraceMs: 200,
};

async function settled(database: Database): Promise<void> {
  await until(
    async () => database.poolState.checkedOut === 0 && database.poolState.waiting === 0,
    'the pool',
  );
}

describe('a server that stands still', () => {
  it('in the middle of a statement keeps its caller for statement timeout and grace, no longer', async () => {
    const database = await faulty.open({ pool: IMPATIENT });
    const work = database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['lost']);
      await faulty.server.stall();
      await tx.query(INSERT_USER, ['lost too']);
    });
    await expect(work).rejects.toBeInstanceOf(ServerSilentError);
    await expect(work).rejects.toMatchObject({ code: 'DATABASE_NOT_RESPONDING', silentMs: 500 });
    await settled(database);
    await faulty.server.resume();
    await addUser(database, 'next');
    await until(async () => (await faulty.inTransaction()) === 0, 'the end of the abandoned session');
    expect(await faulty.users()).toEqual(['next']);
  });

  it('rejects whoever wants a transaction within the acquire timeout, and serves again when it goes on', async () => {
    const database = await faulty.open({ pool: { ...IMPATIENT, size: 5, overflow: 5 } });
    await Promise.all([1, 2, 3, 4, 5].map((id) => addUser(database, `before-${id}`)));
    await faulty.server.stall();
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, id) => outcomeOf(addUser(database, `during-${id}`))),
    );
    for (const outcome of outcomes)
      expect(['DATABASE_UNREACHABLE', 'DATABASE_POOL_TIMEOUT']).toContain(outcome);
    await faulty.server.resume();
    await until(async () => (await outcomeOf(addUser(database, 'after'))) === 'ok', 'the recovery');
    await settled(database);
    const users = await faulty.users();
    expect(users.filter((id) => id.startsWith('during'))).toEqual([]);
    expect(users).toContain('after');
  });

  it('during COMMIT leaves the outcome open and says so', async () => {
    const database = await faulty.open({ pool: IMPATIENT });
    const work = database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['a']);
      await tx.query(INSERT_USER, ['b']);
      await faulty.server.stall();
    });
    await expect(work).rejects.toBeInstanceOf(CommitOutcomeUnknownError);
    await expect(work).rejects.toMatchObject({ cause: expect.any(ServerSilentError) });
    await faulty.server.resume();
    await until(async () => (await faulty.inTransaction()) === 0, 'the end of the abandoned session');
    expect([0, 2]).toContain((await faulty.users()).length);
    await addUser(database, 'next');
  });

  it('does not keep a caller who leaves for longer than the grace of a cancellation', async () => {
    const clock = new TestClock();
    const database = await faulty.open({}, { clock });
    const controller = new AbortController();
    let stalled = false;
    const work = outcomeOf(
      database
        .withTenant(
          acme,
          async (tx) => {
            await tx.query(INSERT_USER, ['lost']);
            await faulty.server.stall();
            stalled = true;
            await tx.query('SELECT 1');
          },
          { signal: controller.signal },
        )
        .catch((error: Error) => {
          throw Object.assign(error, { code: 'LEFT' });
        }),
    );
    await until(async () => stalled, 'the stall');
    controller.abort(new Error('left'));
    await clock.advance(5_000);
    expect(await work).toBe('LEFT');
    await settled(database);
  });

  it('in some of its sessions only costs a caller one look, however many pooled connections are dead', async () => {
    const database = await faulty.open({
      pool: { ...IMPATIENT, connectTimeoutMs: 1_000, size: 10, overflow: 0 },
    });
    const pids = await Promise.all(
      Array.from({ length: 10 }, () =>
        database.withTenant(acme, async (tx) => {
          const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid, pg_sleep(0.1)');
          return row!.pid;
        }),
      ),
    );
    expect(new Set(pids).size).toBe(10);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      // One by one, ten times 300 ms would be more than the acquire timeout.
      await addUser(database, 'served');
      await Promise.all(Array.from({ length: 20 }, (_, id) => addUser(database, `served-${id}`)));
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    expect(await faulty.users()).toHaveLength(21);
  });
});
