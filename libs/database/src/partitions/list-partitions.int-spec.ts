import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { PartitionSchemeInvalidError, PartitionSplitTooLargeError } from './errors.js';
import { type ListPartitionOptions, ListPartitions } from './list-partitions.js';

let db: TestDatabase;
let table: string;
let tables = 0;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  table = `events_${++tables}`;
  await run(
    `CREATE TABLE ${table} (tenant_id text, id int, PRIMARY KEY (tenant_id, id)) PARTITION BY LIST (tenant_id)`,
  );
  await run(`CREATE TABLE ${table}_default PARTITION OF ${table} DEFAULT`);
});

const run = <Row extends object>(text: string, parameters: unknown[] = []) =>
  db.database.asSystem((tx) => tx.query<Row>(text, parameters));
const byTenant = (options: Partial<ListPartitionOptions> = {}) =>
  new ListPartitions(db.database, { table, column: 'tenant_id', ...options });
const insert = (tenant: string, rows: number, first = 1) =>
  run(`INSERT INTO ${table} SELECT $1, n FROM generate_series($2::int, $2::int + $3::int - 1) n`, [
    tenant,
    first,
    rows,
  ]);
const homes = async () => {
  const rows = await run<{ tenant: string; homes: number; rows: number }>(
    `SELECT tenant_id AS tenant, count(DISTINCT tableoid)::int AS homes, count(*)::int AS rows
     FROM ${table} GROUP BY 1 ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ tenant, homes, rows }) => [tenant, [homes, rows]]));
};

describe('partitions by list', { timeout: 60_000 }, () => {
  it('are made once for each value and take over its rows', async () => {
    await insert('acme', 30);
    await insert('globex', 20);
    const partitions = byTenant();
    const first = await partitions.ensure(['acme', 'initech', 'acme']);
    expect(first.created).toEqual([
      expect.stringMatching(/^events_\d+_acme_[0-9a-f]{12}$/),
      expect.stringMatching(/_initech_/),
    ]);
    expect(first.moved).toBe(30);
    expect(await partitions.ensure(['acme', 'initech'])).toEqual({ created: [], moved: 0 });
    await insert('acme', 5, 100);
    expect(await homes()).toEqual({ acme: [1, 35], globex: [1, 20] });
    expect((await partitions.inspect()).default!.contents).toEqual([{ of: 'globex', rows: 20 }]);
  });

  it('have names of their own and the right rows for values with any characters', async () => {
    const values = [
      'a',
      'A',
      'a b',
      'a_b',
      'a-b',
      "o'neil",
      'back\\slash',
      "'); DROP TABLE users; --",
      'NULL',
      'null',
      '',
      '学习',
      '🦊',
      'default',
      'x'.repeat(300),
      `${'x'.repeat(300)}y`,
    ];
    for (const value of values) await insert(value, 2);
    const partitions = byTenant();
    const { created, moved } = await partitions.ensure(values);
    expect(new Set(created).size).toBe(values.length);
    for (const name of created) expect(name).toMatch(/^[a-z0-9_]{1,63}$/);
    expect(moved).toBe(2 * values.length);
    const inspection = await partitions.inspect();
    expect(inspection.default!.contents).toEqual([]);
    expect(
      inspection.partitions.flatMap(({ bound }) => (bound.kind === 'list' ? bound.values : [])).sort(),
    ).toEqual([...values].sort());
    expect(await byTenant().ensure(values)).toEqual({ created: [], moved: 0 });
    await expect(partitions.ensure(['a\0b'])).rejects.toBeInstanceOf(PartitionSchemeInvalidError);
  });

  it('are refused, and nothing is changed, when too many rows would move under the lock', async () => {
    await insert('acme', 30);
    const partitions = byTenant({ rowsPerLock: 29 });
    const refused = partitions.ensure(['acme']);
    await expect(refused).rejects.toBeInstanceOf(PartitionSplitTooLargeError);
    await expect(refused).rejects.toMatchObject({ rows: 30, limit: 29 });
    expect((await partitions.inspect()).partitions).toEqual([]);
    expect((await partitions.ensure(['acme'], { anySize: true })).moved).toBe(30);
  });

  it('leave alone what an administrator made for several values', async () => {
    await run(`CREATE TABLE ${table}_big PARTITION OF ${table} FOR VALUES IN ('acme', 'globex', NULL)`);
    expect((await byTenant().ensure(['acme', 'globex'])).created).toEqual([]);
    expect((await byTenant().inspect()).partitions[0]!.bound).toEqual({
      kind: 'list',
      values: ['acme', 'globex', null],
    });
  });

  it('are made once by several processes while rows keep coming, and none is lost', async () => {
    for (let round = 0; round < 20; round++) {
      const tenants = [`t${round}`, `u${round}`];
      const writing = Promise.all(
        Array.from({ length: 20 }, (_, index) => insert(tenants[index % 2]!, 3, 1 + 3 * index)),
      );
      const reports = await Promise.all([1, 2, 3].map(() => byTenant().ensure(tenants)));
      await writing;
      expect(reports.flatMap(({ created }) => created)).toHaveLength(2);
      expect(await homes()).toMatchObject({ [tenants[0]!]: [1, 30], [tenants[1]!]: [1, 30] });
    }
  });
});
