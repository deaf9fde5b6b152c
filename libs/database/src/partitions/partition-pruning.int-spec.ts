import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Transaction } from '../core/transaction-scope.js';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { HashPartitions } from './hash-partitions.js';
import { ListPartitions } from './list-partitions.js';
import { MonthlyPartitions } from './monthly-partitions.js';
import { DateClock } from './testing/date-clock.js';
import { RecordTable } from './testing/record-table.js';

const MONTHS = 26;
const VALUES = Array.from({ length: 25 }, (_, index) => `tenant-${index}`);
const MODULUS = 24;
let db: TestDatabase;

beforeAll(async () => {
  db = await createTestDatabase();
  const { database } = db;
  await RecordTable.create(database, 'by_month');
  const clock = new DateClock(Date.UTC(2025, 0, 15));
  await new MonthlyPartitions(
    database,
    { table: 'by_month', column: 'at', monthsAhead: MONTHS - 1 },
    { clock },
  ).ensure();
  await database.asSystem(async (tx) => {
    await tx.query('CREATE TABLE by_value (tenant_id text, id int) PARTITION BY LIST (tenant_id)');
    await tx.query('CREATE TABLE by_value_default PARTITION OF by_value DEFAULT');
    await tx.query('CREATE TABLE by_hash (user_id text, id int) PARTITION BY HASH (user_id)');
  });
  await new ListPartitions(database, { table: 'by_value', column: 'tenant_id' }).ensure(VALUES);
  await new HashPartitions(database, { table: 'by_hash', column: 'user_id', modulus: MODULUS }).ensure();
  await database.asSystem(async (tx) => {
    await tx.query(
      `INSERT INTO by_month (id, at)
       SELECT n, '2025-01-01Z'::timestamptz + n * interval '30 minutes' FROM generate_series(0, 36000) n`,
    );
    await tx.query(`INSERT INTO by_value SELECT 'tenant-' || n % 30, n FROM generate_series(1, 20000) n`);
    await tx.query(`INSERT INTO by_hash SELECT 'user-' || n % 500, n FROM generate_series(1, 20000) n`);
    await tx.query('ANALYZE by_month, by_value, by_hash');
  });
});
afterAll(() => db.drop());

interface PlanNode {
  'Relation Name'?: string;
  'Subplans Removed'?: number;
  'Actual Loops'?: number;
  Plans?: PlanNode[];
}

async function planOf(tx: Transaction, statement: string, options = 'FORMAT JSON'): Promise<PlanNode> {
  const [row] = await tx.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(`EXPLAIN (${options}) ${statement}`);
  return row!['QUERY PLAN'][0].Plan;
}

function nodes(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}

const scanned = (plan: PlanNode) =>
  nodes(plan).flatMap((node) =>
    node['Relation Name'] && node['Actual Loops'] !== 0 ? [node['Relation Name']] : [],
  );
const removed = (plan: PlanNode) =>
  nodes(plan).reduce((sum, node) => sum + (node['Subplans Removed'] ?? 0), 0);

const MONTH = ["at >= '2026-05-01Z' AND at < '2026-06-01Z'", ['2026-05-01Z', '2026-06-01Z']] as const;
const strategies = [
  ['RANGE', 'by_month', MONTH[0], 'at >= $1 AND at < $2', MONTH[1], MONTHS, 'timestamptz'],
  ['LIST', 'by_value', "tenant_id = 'tenant-7'", 'tenant_id = $1', ['tenant-7'], VALUES.length, 'text'],
  ['HASH', 'by_hash', "user_id = 'user-7'", 'user_id = $1', ['user-7'], MODULUS - 1, 'text'],
] as const;

describe('a query that names the rows of one partition', () => {
  it.each(strategies)('by %s reads that one when it is planned with values', async (_, table, where) => {
    const plan = await db.database.asSystem((tx) => planOf(tx, `SELECT * FROM ${table} WHERE ${where}`));
    expect(new Set(scanned(plan)).size).toBe(1);
  });

  it.each(strategies)(
    'by %s reads that one when the plan was made before the values were known',
    async (_, table, _where, where, values, others, type) => {
      const plan = await db.database.asSystem(async (tx) => {
        await tx.query('SET LOCAL plan_cache_mode = force_generic_plan');
        const types = values.map(() => type).join(', ');
        await tx.query(`PREPARE pruned (${types}) AS SELECT * FROM ${table} WHERE ${where}`);
        const literals = values.map((value) => `'${value}'`).join(', ');
        const found = await planOf(tx, `EXECUTE pruned (${literals})`, 'ANALYZE, FORMAT JSON');
        await tx.query('DEALLOCATE pruned');
        return found;
      });
      expect(new Set(scanned(plan)).size).toBe(1);
      expect(removed(plan)).toBe(others);
    },
  );

  it.each(strategies)(
    'by %s reads that one when the values come from another table while the query runs',
    async (_, table, _where, where, values, _others, type) => {
      const plan = await db.database.asSystem((tx) => {
        const columns = values.map((_value, index) => `(SELECT '${values[index]}'::${type} OFFSET 0)`);
        const condition = where.replace(/\$(\d)/g, (_match, index) => columns[Number(index) - 1]!);
        return planOf(tx, `SELECT * FROM ${table} WHERE ${condition}`, 'ANALYZE, FORMAT JSON');
      });
      expect(new Set(scanned(plan)).size).toBe(1);
    },
  );
});
