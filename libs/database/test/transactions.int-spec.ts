import { channels, type DatabaseEvent, parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import {
  type Database,
  ReadOnlyTransactionError,
  StatementTimeoutError,
  TransactionClosedError,
} from '@sparkle/database';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const acme = parseTenantId('acme');
let db: TestDatabase;
let database: Database;

beforeAll(async () => {
  db = await createTestDatabase({ random: new SeededRandom(3) });
  ({ database } = db);
  await db.createTenant(acme);
});
afterAll(() => db.drop());
beforeEach(() => database.asSystem((tx) => tx.query('DELETE FROM users')));

const insert = "INSERT INTO users (tenant_id, id) VALUES ('acme', $1)";
const add = (id: string) => database.withTenant(acme, (tx) => tx.query(insert, [id]));
const users = async () =>
  (await database.withTenant(acme, (tx) => tx.query<{ id: string }>('SELECT id FROM users ORDER BY id'))).map(
    ({ id }) => id,
  );

/** Resolves once `count` callers wait in it. */
function meeting(count: number): () => Promise<void> {
  let arrived = 0;
  let open!: () => void;
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    arrived += 1;
    if (arrived >= count) open();
    return all;
  };
}

describe('nested scopes', () => {
  it('nest to any depth, each undone by its own failure only', async () => {
    await database.withTenant(acme, async () => {
      await add('1');
      await database.withTenant(acme, async () => {
        await add('2');
        const third = database.withTenant(acme, async () => {
          await add('3');
          await database.withTenant(acme, () => add('4'));
          throw new Error('third');
        });
        await expect(third).rejects.toThrow('third');
        await add('5');
      });
    });
    expect(await users()).toEqual(['1', '2', '5']);
  });

  it('keep statements of the outer scope out of a nested one that is going to be undone', async () => {
    const started = meeting(2);
    await database.withTenant(acme, async (tx) => {
      const nested = database.withTenant(acme, async (inner) => {
        await inner.query(insert, ['undone']);
        await started();
        throw new Error('nested');
      });
      const outer = (async () => {
        await started();
        await tx.query(insert, ['kept']);
      })();
      await expect(nested).rejects.toThrow('nested');
      await outer;
    });
    expect(await users()).toEqual(['kept']);
  });

  it('refuse statements of work that goes on after its own signal has aborted', async () => {
    const controller = new AbortController();
    let later!: Promise<unknown>;
    await database.withTenant(acme, async () => {
      const nested = database.withTenant(
        acme,
        async (tx) => {
          await tx.query(insert, ['undone']);
          controller.abort(new Error('left'));
          await new Promise((resolve) => setImmediate(resolve));
          later = Promise.all([
            expect(tx.query(insert, ['ghost'])).rejects.toThrow('left'),
            expect(tx.manager.query(insert, ['ghost'])).rejects.toThrow('left'),
            expect(add('ghost')).rejects.toThrow('left'),
          ]);
        },
        { signal: controller.signal },
      );
      await expect(nested).rejects.toThrow('left');
      await add('kept');
    });
    await later;
    expect(await users()).toEqual(['kept']);
  });

  it('refuse statements that were not awaited', async () => {
    await database.withTenant(acme, async () => {
      let check!: () => Promise<unknown>;
      await database.withTenant(acme, async (tx) => {
        const released = meeting(2);
        const escaping = released().then(() => tx.query(insert, ['late']));
        check = async () => {
          void released();
          await expect(escaping).rejects.toBeInstanceOf(TransactionClosedError);
        };
      });
      await check();
    });
    expect(await users()).toEqual([]);
  });
});

describe('retries', () => {
  it('run serializable transactions again until all of them fit into some order', async () => {
    await add('counter');
    const events: DatabaseEvent[] = [];
    const stop = channels.database.subscribe((event) => events.push(event));
    const together = meeting(4);
    let runs = 0;
    const increment = async () => {
      await database.withTenant(
        acme,
        async (tx) => {
          runs += 1;
          const [row] = await tx.query<{ n: number }>(
            "SELECT coalesce(display_name, '0')::int AS n FROM users WHERE id = 'counter'",
          );
          await together();
          await tx.query("UPDATE users SET display_name = $1 WHERE id = 'counter'", [String(row!.n + 1)]);
        },
        { isolation: 'SERIALIZABLE', retries: 20 },
      );
    };
    try {
      await Promise.all([1, 2, 3, 4].map(increment));
    } finally {
      stop();
    }
    const [row] = await database.withTenant(acme, (tx) => tx.query('SELECT display_name FROM users'));
    expect(row).toEqual({ display_name: '4' });
    const retries = events.filter((event) => event.kind === 'transaction' && event.outcome === 'retry');
    expect(runs).toBe(4 + retries.length);
    expect(retries.length).toBeGreaterThanOrEqual(3);
  });

  it('run hooks of the attempt that was committed, and of no other', async () => {
    const hooks: number[] = [];
    let runs = 0;
    await database.withTenant(acme, async (tx) => {
      const run = ++runs;
      tx.afterCommit(() => void hooks.push(run));
      if (run < 3) await tx.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$");
    });
    expect(hooks).toEqual([3]);
  });
});

describe('options', () => {
  it('refuse writes of a transaction that was opened for reading', async () => {
    const work = database.withTenant(acme, (tx) => tx.query(insert, ['ada']), { readOnly: true });
    await expect(work).rejects.toBeInstanceOf(ReadOnlyTransactionError);
    const sly = database.withTenant(acme, (tx) => tx.query('SET transaction_read_only = off'), {
      readOnly: true,
    });
    await expect(sly).rejects.toThrow(/read-write mode/);
    expect(await users()).toEqual([]);
  });

  it('bound a statement of one transaction, and leave the next one alone', async () => {
    const work = database.withTenant(acme, (tx) => tx.query('SELECT pg_sleep(60)'), {
      statementTimeoutMs: 20,
    });
    await expect(work).rejects.toBeInstanceOf(StatementTimeoutError);
    const [row] = await database.withTenant(acme, (tx) => tx.query('SHOW statement_timeout'));
    expect(row).toEqual({ statement_timeout: '30s' });
  });
});
