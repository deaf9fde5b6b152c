import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';

const acme = parseTenantId('acme');
let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase({ pool: { size: 2, overflow: 2 }, random: new SeededRandom(7) });
  await db.createTenant(acme);
});
afterAll(() => db.drop());

const step = fc.constantFrom('insert', 'sleep', 'fail', 'swallow', 'nested', 'throw', 'idle');
const schedule = fc.array(
  fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 4 }),
    /** Turns of the event loop before the abort; none when undefined. */
    abortAfter: fc.option(fc.nat(25), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 8 },
);

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

it('whatever fails, is swallowed or aborted when, no connection leaks and work is kept whole or not at all', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(schedule, async (works) => {
      const prefix = `run${run++}`;
      const outcomes = await Promise.all(
        works.map(async ({ steps, abortAfter }, index) => {
          const controller = new AbortController();
          if (abortAfter !== undefined)
            void turns(abortAfter).then(() => controller.abort(new Error('abort')));
          let inserted = 0;
          const insert = async (sql: { query(text: string, values: unknown[]): Promise<unknown> }) => {
            await sql.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [
              acme,
              `${prefix}-${index}-${inserted}`,
            ]);
            inserted++;
          };
          const outcome = db.database.withTenant(
            acme,
            async (tx) => {
              inserted = 0;
              await insert(tx);
              for (const what of steps) {
                if (what === 'insert') await insert(tx);
                if (what === 'sleep') await tx.query('SELECT pg_sleep(0.003)');
                if (what === 'fail') await tx.query('SELECT 1/0');
                if (what === 'swallow') await tx.query('SELECT 1/0').catch(() => undefined);
                if (what === 'nested') await db.database.withTenant(acme, insert);
                if (what === 'throw') throw new Error('work');
                if (what === 'idle') await turns(3);
              }
            },
            { signal: controller.signal },
          );
          return outcome.then(
            () => inserted,
            () => 0,
          );
        }),
      );
      // A caller that left while its connection was being opened does not wait for it.
      await vi.waitFor(() => expect(db.database.poolState).toMatchObject({ checkedOut: 0, waiting: 0 }));
      const rows = await db.database.withTenant(acme, (tx) =>
        tx.query<{ work: number; count: number }>(
          `SELECT split_part(id, '-', 2)::int AS work, count(*)::int AS count
           FROM users WHERE id LIKE $1 GROUP BY 1`,
          [`${prefix}-%`],
        ),
      );
      const stored = new Map(rows.map((row) => [row.work, row.count]));
      expect(outcomes.map((_, index) => stored.get(index) ?? 0)).toEqual(outcomes);
    }),
    { numRuns: 60 },
  );
  const [{ open }] = await db.dataSource.query(
    "SELECT count(*)::int AS open FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
  );
  expect(open).toBe(0);
}, 60_000);
