import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, until } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import type { Transaction } from './transaction-scope.js';

const acme = parseTenantId('acme');
const SCHEDULES_AT_ONCE = 100;
const RUNS = 100;

let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase({ pool: { size: 4, overflow: 4 }, random: new SeededRandom(7) });
  await db.createTenant(acme);
});
afterAll(() => db.drop());

type Step =
  | 'insert'
  | 'sleep'
  | 'fail'
  | 'swallow'
  | 'throw'
  | 'conflict'
  | 'idle'
  | { readonly nested: readonly Step[]; readonly caught: boolean };

const { step } = fc.letrec<{ step: Step }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small' },
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        ...(['insert', 'insert', 'sleep', 'fail', 'swallow', 'throw', 'conflict', 'idle'] as const),
      ),
    },
    {
      weight: 4,
      arbitrary: fc.record({ nested: fc.array(tie('step'), { maxLength: 3 }), caught: fc.boolean() }),
    },
  ),
}));

const schedule = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
  /** Turns of the event loop before the abort; none when undefined, before the start when 0. */
  abortAfter: fc.option(fc.nat(60), { nil: undefined }),
});

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Runs one schedule and returns the rows that have to be there afterwards. */
async function run(
  name: string,
  { steps, abortAfter }: { steps: readonly Step[]; abortAfter?: number | undefined },
) {
  const controller = new AbortController();
  const abort = () => controller.abort(new Error('abort'));
  if (abortAfter === 0) abort();
  else if (abortAfter !== undefined) void turns(abortAfter).then(abort);
  let rows = 0;
  let conflicts = 0;
  let expected: string[] = [];
  const hooks: string[] = [];

  const perform = async (tx: Transaction, list: readonly Step[]): Promise<string[]> => {
    const inserted: string[] = [];
    for (const what of list) {
      if (what === 'insert') {
        const id = `${name}-${rows++}`;
        await tx.query('INSERT INTO users (tenant_id, id) VALUES ($1, $2)', [acme, id]);
        tx.afterCommit(() => void hooks.push(id));
        inserted.push(id);
      } else if (what === 'sleep') await tx.query('SELECT pg_sleep(0.002)');
      else if (what === 'fail') await tx.query('SELECT 1/0');
      else if (what === 'swallow') await tx.query('SELECT 1/0').catch(() => undefined);
      else if (what === 'throw') throw new Error('work');
      else if (what === 'conflict') {
        if (conflicts++ === 0) await tx.query("DO $$ BEGIN RAISE 'again' USING ERRCODE = '40001'; END $$");
      } else if (what === 'idle') await turns(2);
      else {
        const nested = db.database.withTenant(acme, (inner) => perform(inner, what.nested));
        inserted.push(...(await (what.caught ? nested.catch(() => []) : nested)));
      }
    }
    return inserted;
  };

  const outcome = await db.database
    .withTenant(
      acme,
      async (tx) => {
        expected = await perform(tx, steps);
      },
      { signal: controller.signal },
    )
    .then(
      () => 'committed' as const,
      () => 'undone' as const,
    );
  return outcome === 'committed' ? { expected, hooks } : { expected: [], hooks };
}

it(`${RUNS * SCHEDULES_AT_ONCE} schedules of failures, retries and aborts leak no connection and keep work whole or not at all`, async () => {
  let batch = 0;
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(schedule, { minLength: SCHEDULES_AT_ONCE, maxLength: SCHEDULES_AT_ONCE }),
      async (schedules) => {
        const prefix = `${batch++}`.padStart(4, '0');
        const results = await Promise.all(schedules.map((one, index) => run(`${prefix}-${index}`, one)));
        ran += results.length;
        // A caller that left while its connection was being opened does not wait for it.
        await until(
          async () => db.database.poolState.checkedOut === 0 && db.database.poolState.waiting === 0,
          'the pool',
        );
        const rows = await db.database.withTenant(acme, (tx) =>
          tx.query<{ id: string }>('SELECT id FROM users WHERE id LIKE $1', [`${prefix}-%`]),
        );
        expect(rows.map(({ id }) => id).sort()).toEqual(results.flatMap(({ expected }) => expected).sort());
        for (const { expected, hooks } of results) expect(hooks).toEqual(expected);
      },
    ),
    { numRuns: RUNS, seed: 20_261, endOnFailure: true },
  );
  expect(ran).toBe(RUNS * SCHEDULES_AT_ONCE);
  const [sessions] = await db.dataSource.query(
    `SELECT count(*) FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid())::int AS busy, count(*)::int AS open
     FROM pg_stat_activity WHERE datname = current_database()`,
  );
  expect(sessions.busy).toBe(0);
  expect(sessions.open).toBe(db.database.poolState.size);
  // Every connection can be had and works.
  const all = Array.from({ length: 8 }, () =>
    db.database.withTenant(acme, (tx) => tx.query('SELECT 1 AS one, pg_sleep(0.01)')),
  );
  for (const rows of await Promise.all(all)) expect(rows).toMatchObject([{ one: 1 }]);
}, 300_000);
