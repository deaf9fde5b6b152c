import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { PartitionModulusChangedError, PartitionSchemeInvalidError } from './errors.js';
import { HashPartitions } from './hash-partitions.js';

let db: TestDatabase;
let table: string;
let tables = 0;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  table = `sessions_${++tables}`;
  await run(
    `CREATE TABLE ${table} (user_id text, id int, PRIMARY KEY (user_id, id)) PARTITION BY HASH (user_id)`,
  );
});

const run = <Row extends object>(text: string) => db.database.asSystem((tx) => tx.query<Row>(text));
const hashed = (modulus: number) => new HashPartitions(db.database, { table, column: 'user_id', modulus });

describe('partitions by hash', () => {
  it('are made all at once, and hold every row', async () => {
    expect((await hashed(8).ensure()).created).toHaveLength(8);
    expect(await hashed(8).ensure()).toEqual({ created: [], moved: 0 });
    await run(`INSERT INTO ${table} SELECT 'user ' || n, n FROM generate_series(1, 4000) n`);
    await run(`ANALYZE ${table}`);
    const { partitions, default: fallback } = await hashed(8).inspect();
    expect(fallback).toBeUndefined();
    expect(partitions.reduce((sum, { rows }) => sum + rows, 0)).toBe(4000);
    for (const { rows } of partitions) expect(rows).toBeGreaterThan(300);
  });

  it('are completed when some are missing', async () => {
    await hashed(4).ensure();
    await run(`DROP TABLE ${table}_h2of4`);
    expect(await hashed(4).ensure()).toEqual({ created: [`${table}_h2of4`], moved: 0 });
  });

  it('refuse another modulus, whose rows would all have to move', async () => {
    await hashed(4).ensure();
    for (const modulus of [2, 5, 8]) {
      const ensured = hashed(modulus).ensure();
      await expect(ensured).rejects.toBeInstanceOf(PartitionModulusChangedError);
      await expect(ensured).rejects.toMatchObject({ requested: modulus, existing: [4] });
    }
    expect((await hashed(4).inspect()).partitions).toHaveLength(4);
    for (const modulus of [0, 1.5, 1001]) expect(() => hashed(modulus)).toThrow(PartitionSchemeInvalidError);
  });

  it('are made once by several processes at the same time', async () => {
    const reports = await Promise.all([1, 2, 3, 4].map(() => hashed(6).ensure()));
    expect(reports.flatMap(({ created }) => created)).toHaveLength(6);
  });
});
