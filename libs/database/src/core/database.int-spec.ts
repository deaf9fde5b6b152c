import { channels, type DatabaseEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  AfterCommitError,
  NestedTenantError,
  PoolTimeoutError,
  TransactionAbortedError,
  TransactionClosedError,
} from '../errors.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { QueryCounter } from './query-counter.js';

const acme = parseTenantId('acme');
const globex = parseTenantId('globex');

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase({ random: new SeededRandom(1) });
  await db.createTenant(acme);
  await db.createTenant(globex);
});
afterAll(() => db.drop());
beforeEach(() => db.database.asSystem((tx) => tx.query('DELETE FROM users')));

const addUser = (id: string) => `INSERT INTO users (tenant_id, id) VALUES ('acme', '${id}')`;
const users = () =>
  db.database
    .withTenant(acme, (tx) => tx.query<{ id: string }>('SELECT id FROM users ORDER BY id'))
    .then((rows) => rows.map((row) => row.id));

describe('withTenant', () => {
  it('commits when the work returns and gives its result', async () => {
    const result = await db.database.withTenant(acme, async (tx) => {
      await tx.query(addUser('ada'));
      return 7;
    });
    expect(result).toBe(7);
    expect(await users()).toEqual(['ada']);
  });

  it('rolls back when the work throws and rethrows its error', async () => {
    const failure = new Error('no');
    const work = db.database.withTenant(acme, async (tx) => {
      await tx.query(addUser('ada'));
      throw failure;
    });
    await expect(work).rejects.toBe(failure);
    expect(await users()).toEqual([]);
  });

  it('returns rows for UPDATE, DELETE and INSERT with RETURNING', async () => {
    const rows = await db.database.withTenant(acme, async (tx) => [
      await tx.query(`${addUser('ada')} RETURNING id`),
      await tx.query("UPDATE users SET status = 'away' RETURNING id, status"),
      await tx.query('DELETE FROM users RETURNING id'),
    ]);
    expect(rows).toEqual([[{ id: 'ada' }], [{ id: 'ada', status: 'away' }], [{ id: 'ada' }]]);
  });

  it('runs as the application role and leaves the connection as it was', async () => {
    const who = "SELECT current_user::text AS role, current_setting('sparkle.tenant_id', true) AS tenant";
    expect(await db.database.withTenant(acme, (tx) => tx.query(who))).toEqual([
      { role: 'sparkle_app', tenant: 'acme' },
    ]);
    const [after] = await db.dataSource.query(who);
    expect(after.role).not.toBe('sparkle_app');
    expect(after.tenant).toBe('');
  });

  it('undoes only the nested scope when that fails, and runs only the surviving hooks after the commit', async () => {
    const hooks: string[] = [];
    await db.database.withTenant(acme, async (tx) => {
      tx.afterCommit(() => void hooks.push('outer'));
      await tx.query(addUser('kept'));
      await expect(
        db.database.withTenant(acme, async (inner) => {
          inner.afterCommit(() => void hooks.push('lost'));
          await inner.query(addUser('lost'));
          throw new Error('inner');
        }),
      ).rejects.toThrow('inner');
      await db.database.withTenant(acme, async (inner) => {
        inner.afterCommit(() => void hooks.push('inner'));
        await inner.query(addUser('nested'));
      });
      expect(hooks).toEqual([]);
    });
    expect(await users()).toEqual(['kept', 'nested']);
    expect(hooks).toEqual(['outer', 'inner']);
  });

  it('lets nested scopes that start together take turns', async () => {
    await db.database.withTenant(acme, () =>
      Promise.all(
        ['a', 'b', 'c', 'd'].map((id) =>
          db.database
            .withTenant(acme, async (tx) => {
              await tx.query(addUser(id));
              if (id === 'b' || id === 'c') throw new Error(id);
            })
            .catch(() => undefined),
        ),
      ),
    );
    expect(await users()).toEqual(['a', 'd']);
  });

  it('refuses another tenant, and the system, inside a tenant scope and commits nothing', async () => {
    for (const inner of [
      () => db.database.withTenant(globex, async () => undefined),
      () => db.database.asSystem(async () => undefined),
    ]) {
      const work = db.database.withTenant(acme, async (tx) => {
        await tx.query(addUser('ada'));
        await inner();
      });
      await expect(work).rejects.toBeInstanceOf(NestedTenantError);
    }
    expect(await users()).toEqual([]);
  });

  it('rejects instead of silently losing the work when a failed statement was swallowed', async () => {
    const work = db.database.withTenant(acme, async (tx) => {
      await tx.query(addUser('ada'));
      await tx.query('SELECT 1/0').catch(() => undefined);
    });
    await expect(work).rejects.toBeInstanceOf(TransactionAbortedError);
    expect(await users()).toEqual([]);
  });

  it('rejects a nested scope whose failed statement was swallowed, and keeps the outer one usable', async () => {
    await db.database.withTenant(acme, async (tx) => {
      await tx.query(addUser('ada'));
      const nested = db.database.withTenant(acme, async (inner) => {
        await inner.query('SELECT 1/0').catch(() => undefined);
      });
      await expect(nested).rejects.toBeInstanceOf(TransactionAbortedError);
    });
    expect(await users()).toEqual(['ada']);
  });

  it('refuses statements after the work has ended', async () => {
    const escaped = await db.database.withTenant(acme, async (tx) => tx);
    await expect(escaped.query('SELECT 1')).rejects.toBeInstanceOf(TransactionClosedError);
    await expect(escaped.manager.query('SELECT 1')).rejects.toThrow();
  });

  it('runs every hook, keeps the commit, and reports hooks that fail', async () => {
    let ran = 0;
    const work = db.database.withTenant(acme, async (tx) => {
      await tx.query(addUser('ada'));
      tx.afterCommit(() => Promise.reject(new Error('hook')));
      tx.afterCommit(() => void ran++);
    });
    await expect(work).rejects.toBeInstanceOf(AfterCommitError);
    expect(ran).toBe(1);
    expect(await users()).toEqual(['ada']);
  });

  it('runs both of two transactions that deadlock, by retrying the victim', async () => {
    await db.database.withTenant(acme, (tx) => tx.query(`${addUser('x')}; ${addUser('y')}`));
    let arrived = 0;
    let open!: () => void;
    const bothHoldOne = new Promise<void>((resolve) => {
      open = resolve;
    });
    const crossing = (first: string, second: string) =>
      db.database.withTenant(acme, async (tx) => {
        const touch = "UPDATE users SET display_name = coalesce(display_name, '') || '+' WHERE id = $1";
        await tx.query(touch, [first]);
        if (++arrived >= 2) open();
        await bothHoldOne;
        await tx.query(touch, [second]);
      });
    await Promise.all([crossing('x', 'y'), crossing('y', 'x')]);
    expect(arrived).toBe(3);
    const rows = await db.database.withTenant(acme, (tx) =>
      tx.query('SELECT display_name AS name FROM users'),
    );
    expect(rows).toEqual([{ name: '++' }, { name: '++' }]);
  });

  it('gives up after the allowed retries with the database error', async () => {
    let runs = 0;
    const work = db.database.withTenant(
      acme,
      async (tx) => {
        runs++;
        await tx.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
      },
      { retries: 2 },
    );
    await expect(work).rejects.toThrow('again');
    expect(runs).toBe(3);
  });

  it('stops a running statement when the signal aborts, and pools no connection that was cancelled', async () => {
    const controller = new AbortController();
    const reason = new Error('client left');
    const work = db.database.withTenant(
      acme,
      async (tx) => {
        await tx.query(addUser('ada'));
        const sleeping = tx.query('SELECT pg_sleep(60)');
        setImmediate(() => controller.abort(reason));
        await sleeping;
      },
      { signal: controller.signal },
    );
    await expect(work).rejects.toBe(reason);
    expect(db.database.poolState.checkedOut).toBe(0);
    expect(await users()).toEqual([]);
    const [{ sleeping }] = await db.dataSource.query(
      "SELECT count(*)::int AS sleeping FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'",
    );
    expect(sleeping).toBe(0);
  });

  it('refuses statements and new transactions of work that goes on after an abort', async () => {
    const controller = new AbortController();
    let later!: Promise<unknown>;
    let again!: Promise<unknown>;
    const work = db.database.withTenant(
      acme,
      async (tx) => {
        controller.abort(new Error('stop'));
        await new Promise((resolve) => setImmediate(resolve));
        later = tx.manager.query(addUser('ghost'));
        await later.catch(() => undefined);
        again = db.database.withTenant(acme, (inner) => inner.query(addUser('ghost')));
        await again.catch(() => undefined);
      },
      { signal: controller.signal },
    );
    await expect(work).rejects.toThrow('stop');
    await new Promise((resolve) => setImmediate(resolve));
    await expect(later).rejects.toThrow('stop');
    await vi.waitFor(() => expect(again).toBeDefined());
    await expect(again).rejects.toThrow('stop');
    expect(await users()).toEqual([]);
  });

  it('takes another connection when a pooled one has died unnoticed', async () => {
    const pids = await Promise.all(
      [1, 2, 3].map(() =>
        db.database.withTenant(acme, async (tx) => {
          const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid, pg_sleep(0.05)');
          return row!.pid;
        }),
      ),
    );
    const [{ killed }] = await db.dataSource.query(
      'SELECT count(pg_terminate_backend(pid))::int AS killed FROM unnest($1::int[]) pid WHERE pid <> pg_backend_pid()',
      [pids],
    );
    expect(killed).toBeGreaterThan(0);
    await Promise.all([1, 2, 3].map(() => db.database.withTenant(acme, (tx) => tx.query('SELECT 1'))));
  });
});

describe('the pool', () => {
  it('fails with a typed error when no connection becomes free, and recovers', async () => {
    const small = await createTestDatabase({ pool: { size: 1, overflow: 1, acquireTimeoutMs: 100 } });
    try {
      let release!: () => void;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const holders = [1, 2].map(() => small.database.withTenant(acme, () => held));
      await expect(small.database.withTenant(acme, async () => 1)).rejects.toBeInstanceOf(PoolTimeoutError);
      expect(small.database.poolState).toMatchObject({ size: 2, checkedOut: 2, overflow: 1, waiting: 0 });
      release();
      await Promise.all(holders);
      expect(await small.database.withTenant(acme, async () => 1)).toBe(1);
    } finally {
      await small.drop();
    }
  });
});

describe('observation', () => {
  it('publishes each statement, the outcome and the pool on the database channel, with the tenant', async () => {
    const events: DatabaseEvent[] = [];
    const stop = channels.database.subscribe((event) => events.push(event));
    try {
      await db.database.withTenant(acme, (tx) => tx.query('SELECT 1'));
    } finally {
      stop();
    }
    const own = events.filter((event) => event.kind !== 'pool');
    expect(own).toMatchObject([
      { kind: 'query', tenantId: 'acme', failed: false },
      { kind: 'connection_held' },
      { kind: 'transaction', tenantId: 'acme', outcome: 'commit' },
    ]);
    expect(events.some((event) => event.kind === 'pool' && event.checkedOut === 1)).toBe(true);
  });

  it('counts the statements of a piece of work, transaction control excluded', async () => {
    const { queries } = await QueryCounter.run(() =>
      db.database.withTenant(acme, async (tx) => {
        await tx.query('SELECT 1');
        await tx.query('SELECT 1');
        await db.database.withTenant(acme, (inner) => inner.manager.query('SELECT 2'));
      }),
    );
    expect(queries.count).toBe(3);
    expect([...queries.repeated]).toEqual([['SELECT 1', 2]]);
  });
});
