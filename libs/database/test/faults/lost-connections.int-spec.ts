import { until } from '@sparkle/contracts/testing';
import { ConnectionLostError } from '@sparkle/database';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acme, addUser, FaultyServer, INSERT_USER, outcomeOf } from './faulty-server.js';

let faulty: FaultyServer;
beforeAll(async () => {
  faulty = await FaultyServer.start();
});
afterAll(() => faulty.stop());
beforeEach(() => faulty.query('DELETE FROM users'));
afterEach(() => faulty.closeAll());

const REJECTED = ['DATABASE_CONNECTION_LOST', 'DATABASE_UNREACHABLE'];
const UNKNOWN = 'DATABASE_COMMIT_UNKNOWN';

describe('a server that ends under fifty concurrent transactions', () => {
  it.each([
    ['crashes', () => faulty.server.kill()],
    ['is shut down', () => faulty.server.shutDown()],
  ])('and %s leaves each of them committed once or rejected, and serves again by itself', async (_, end) => {
    const database = await faulty.open({ pool: { size: 20, overflow: 10 } });
    const outcomes = new Map<string, string>();
    let down = false;
    let goOn = true;
    const worker = async (name: number) => {
      for (let turn = 0; goOn; turn++) {
        const id = `${name}-${turn}`;
        const work = database.withTenant(acme, async (tx) => {
          await tx.query(INSERT_USER, [`${id}-a`]);
          await tx.query(INSERT_USER, [`${id}-b`]);
        });
        outcomes.set(id, await outcomeOf(work));
        if (down) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const committed = () => [...outcomes.values()].filter((outcome) => outcome === 'ok').length;
    const workers = Array.from({ length: 50 }, (__, name) => worker(name));
    await until(async () => committed() > 200, 'work before the fault');
    down = true;
    await end();
    await faulty.server.restart();
    down = false;
    const before = committed();
    await until(async () => committed() > before + 200, 'work after the fault');
    goOn = false;
    await Promise.all(workers);

    const rows = new Set(await faulty.users());
    for (const [id, outcome] of outcomes) {
      const kept = [`${id}-a`, `${id}-b`].filter((user) => rows.has(user)).length;
      if (outcome === 'ok') expect(kept, id).toBe(2);
      else if (outcome === UNKNOWN) expect([0, 2], id).toContain(kept);
      else {
        expect(REJECTED, id).toContain(outcome);
        expect(kept, `${id}: ${outcome}`).toBe(0);
      }
    }
    expect(new Set(outcomes.values()).size).toBeGreaterThan(1);
    expect(database.poolState).toMatchObject({ checkedOut: 0, waiting: 0 });
    expect(await faulty.inTransaction()).toBe(0);
  });
});

describe('a backend that is ended', () => {
  it('in the middle of work rejects that work, keeps nothing of it, and costs nobody else anything', async () => {
    const database = await faulty.open({ pool: { size: 2, overflow: 0 } });
    const work = database.withTenant(acme, async (tx) => {
      await tx.query(INSERT_USER, ['lost']);
      const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await faulty.query('SELECT pg_terminate_backend($1, 5000)', [row!.pid]);
      await tx.query(INSERT_USER, ['lost too']);
    });
    await expect(work).rejects.toBeInstanceOf(ConnectionLostError);
    await Promise.all([1, 2, 3, 4].map((id) => addUser(database, `kept-${id}`)));
    expect(await faulty.users()).toEqual(['kept-1', 'kept-2', 'kept-3', 'kept-4']);
    expect(database.poolState).toMatchObject({ checkedOut: 0, waiting: 0 });
  });

  it('while its work does something else rejects that work when it wants to commit', async () => {
    const database = await faulty.open({ pool: { size: 1, overflow: 0 } });
    const work = database.withTenant(acme, async (tx) => {
      const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await tx.query(INSERT_USER, ['lost']);
      await faulty.query('SELECT pg_terminate_backend($1, 5000)', [row!.pid]);
    });
    const code = await outcomeOf(work);
    expect([UNKNOWN, ...REJECTED]).toContain(code);
    expect(await faulty.users()).toEqual([]);
    await addUser(database, 'next');
  });

  it('that the program swallows still rejects the transaction', async () => {
    const database = await faulty.open();
    const work = database.withTenant(acme, async (tx) => {
      const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await tx.query(INSERT_USER, ['lost']);
      await faulty.query('SELECT pg_terminate_backend($1, 5000)', [row!.pid]);
      await tx.query(INSERT_USER, ['lost']).catch(() => undefined);
    });
    expect([UNKNOWN, ...REJECTED]).toContain(await outcomeOf(work));
    expect(await faulty.users()).toEqual([]);
  });

  it('while it is idle is not noticed by any caller', async () => {
    const database = await faulty.open({ pool: { size: 10, overflow: 0 } });
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from({ length: 10 }, () =>
          database.withTenant(acme, (tx) => tx.query('SELECT pg_sleep(0.02)')),
        ),
      );
      await faulty.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sparkle'",
      );
      await Promise.all(Array.from({ length: 10 }, (_, index) => addUser(database, `${round}-${index}`)));
    }
    expect(await faulty.users()).toHaveLength(50);
  });
});

it('a database that is closed under work rejects it, and keeps no session', async () => {
  const database = await faulty.open();
  await addUser(database, 'kept');
  await database.close();
  expect(await outcomeOf(addUser(database, 'late'))).toBe('DATABASE_UNREACHABLE');
  expect(await faulty.users()).toEqual(['kept']);
});
