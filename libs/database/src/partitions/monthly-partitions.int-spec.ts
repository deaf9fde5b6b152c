import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import {
  PartitionLockedError,
  PartitionNameTakenError,
  PartitionOverlapError,
  PartitionSchemeInvalidError,
  PartitionSchemeMismatchError,
} from './errors.js';
import { type MonthlyPartitionOptions, MonthlyPartitions } from './monthly-partitions.js';
import { DateClock } from './testing/date-clock.js';
import { RecordTable } from './testing/record-table.js';

const clock = new DateClock(Date.UTC(2026, 10, 23));
let db: TestDatabase;
let table: RecordTable;
let tables = 0;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  table = await RecordTable.create(db.database, `records_${++tables}`);
});

const monthly = (options: Partial<MonthlyPartitionOptions> = {}) =>
  new MonthlyPartitions(db.database, { table: table.name, column: 'at', ...options }, { clock });
const names = (...months: string[]) => months.map((month) => `${table.name}_${month}`);

describe('monthly partitions', () => {
  it('are made for this month and the months ahead, once', async () => {
    const partitions = monthly({ monthsAhead: 2 });
    expect(await partitions.ensure()).toEqual({ created: names('2026_11', '2026_12', '2027_01'), moved: 0 });
    expect(await partitions.ensure()).toEqual({ created: [], moved: 0 });
  });

  it('receive the rows of their month, and leave the others in the default partition', async () => {
    await monthly({ monthsAhead: 1 }).ensure();
    await table.insert(1, ['2026-11-30T23:59:59.999Z', '2026-12-01T00:00:00Z', '2031-05-01T00:00:00Z']);
    expect(await table.placement()).toEqual({ '2026_11': 1, '2026_12': 1, default: 1 });
  });

  it('take over the strays of their month when they are made', async () => {
    await table.insert(1, ['2026-11-01', '2026-11-15T12:00Z', '2026-11-30T12:00Z', '2026-10-31T23:59:59Z']);
    expect(await monthly({ monthsAhead: 0 }).ensure()).toEqual({ created: names('2026_11'), moved: 3 });
    expect(await table.placement()).toEqual({ '2026_11': 3, default: 1 });
  });

  it('are made for strays of every month within bounds, and for none beyond', async () => {
    const times = [
      '2026-01-05',
      '2026-09-30T23:59:59Z',
      '2026-09-01',
      '2027-02-28',
      '2027-03-01',
      '1970-01-01',
    ];
    await table.insert(1, [...times, 'infinity', '-infinity', '0044-03-15 BC']);
    const report = await monthly({ monthsAhead: 3 }).moveStrays();
    expect(report).toEqual({ created: names('2026_01', '2026_09', '2027_02'), moved: 4 });
    expect(await table.placement()).toEqual({ '2026_01': 1, '2026_09': 2, '2027_02': 1, default: 5 });
    expect(await monthly().moveStrays()).toEqual({ created: [], moved: 0 });
  });

  it('grow to their month in bounded steps when it has more strays than one lock may move', async () => {
    const times = Array.from({ length: 250 }, (_, index) => new Date(Date.UTC(2026, 9, 1) + index * 1e7));
    await table.insert(
      1,
      times.map((time) => time.toISOString()),
    );
    const partitions = monthly({ rowsPerLock: 60 });
    expect(await partitions.moveStrays()).toEqual({ created: names('2026_10'), moved: 250 });
    expect(await table.placement()).toEqual({ '2026_10': 250 });
    const {
      partitions: [partition],
    } = await partitions.inspect();
    expect(partition!.bound).toEqual({
      kind: 'range',
      from: '2026-10-01 00:00:00+00',
      to: '2026-11-01 00:00:00+00',
    });
  });

  it('move rows of the same time together, however many they are', async () => {
    await table.insert(
      1,
      Array.from({ length: 50 }, () => '2026-10-01'),
    );
    await table.insert(
      51,
      Array.from({ length: 50 }, () => '2026-10-31T23:59:59.999999Z'),
    );
    await monthly({ rowsPerLock: 20 }).moveStrays();
    expect(await table.placement()).toEqual({ '2026_10': 100 });
  });

  it('go on growing after the process that began died between two steps', async () => {
    const times = Array.from(
      { length: 40 },
      (_, index) => `2026-10-02T00:00:${String(index).padStart(2, '0')}Z`,
    );
    await table.insert(1, times);
    await db.database.asSystem(async (tx) => {
      await tx.query(`CREATE TABLE ${table.name}_2026_10 (LIKE ${table.name} INCLUDING GENERATED)`);
      await tx.query(
        `WITH gone AS (DELETE FROM ${table.name}_default WHERE at < '2026-10-02T00:00:10Z' RETURNING id, at, note)
         INSERT INTO ${table.name}_2026_10 (id, at, note) SELECT * FROM gone`,
      );
      await tx.query(
        `ALTER TABLE ${table.name} ATTACH PARTITION ${table.name}_2026_10
         FOR VALUES FROM ('2026-10-01Z') TO ('2026-10-02T00:00:10Z')`,
      );
    });
    expect(await table.placement()).toEqual({ '2026_10': 10, default: 30 });
    expect(await monthly({ rowsPerLock: 7 }).moveStrays()).toEqual({ created: [], moved: 30 });
    expect(await table.placement()).toEqual({ '2026_10': 40 });
    expect(await table.ids()).toHaveLength(40);
  });

  it('tell their bounds and sizes, and what is in the default partition', async () => {
    await table.insert(1, ['2026-11-02', '2031-05-01', '2031-05-02', 'infinity']);
    const partitions = monthly({ monthsAhead: 0 });
    await partitions.ensure();
    await db.database.asSystem((tx) => tx.query(`ANALYZE ${table.name}`));
    const inspection = await partitions.inspect();
    expect(inspection).toMatchObject({
      table: table.name,
      kind: 'range',
      column: 'at',
      partitions: [
        {
          name: `${table.name}_2026_11`,
          bound: { kind: 'range', from: '2026-11-01 00:00:00+00', to: '2026-12-01 00:00:00+00' },
          rows: 1,
        },
      ],
      default: {
        name: `${table.name}_default`,
        contents: [
          { of: '2031-05', rows: 2 },
          { of: 'infinity', rows: 1 },
        ],
      },
    });
    expect(inspection.partitions[0]!.bytes).toBeGreaterThan(0);
  });

  it.each(['timestamp', 'date'])('work on a column of type %s', async (type) => {
    await db.database.asSystem(async (tx) => {
      await tx.query(`CREATE TABLE typed_${type} (id int, at ${type}) PARTITION BY RANGE (at)`);
      await tx.query(`CREATE TABLE typed_${type}_default PARTITION OF typed_${type} DEFAULT`);
      await tx.query(
        `INSERT INTO typed_${type} VALUES (1, '2026-11-30'), (2, '2026-10-01'), (3, '2026-10-31')`,
      );
    });
    const partitions = new MonthlyPartitions(
      db.database,
      { table: `typed_${type}`, column: 'at', rowsPerLock: 1 },
      { clock },
    );
    expect((await partitions.ensure()).moved).toBe(1);
    expect(await partitions.moveStrays()).toEqual({ created: [`typed_${type}_2026_10`], moved: 2 });
    expect(await partitions.ensure()).toEqual({ created: [], moved: 0 });
  });

  it('keep the months that an administrator made in another shape, and refuse to cut into them', async () => {
    const attach = (suffix: string, from: string, to: string) =>
      db.database.asSystem((tx) =>
        tx.query(
          `CREATE TABLE ${table.name}_${suffix} PARTITION OF ${table.name} FOR VALUES FROM ('${from}') TO ('${to}')`,
        ),
      );
    await attach('quarter', '2026-10-01Z', '2027-01-01Z');
    expect((await monthly({ monthsAhead: 1 }).ensure()).created).toEqual([]);
    await attach('half', '2027-01-10Z', '2027-01-20Z');
    const ensured = monthly({ monthsAhead: 2 }).ensure();
    await expect(ensured).rejects.toBeInstanceOf(PartitionOverlapError);
    await expect(ensured).rejects.toMatchObject({ existing: `${table.name}_half` });
  });

  it('are not made in the place of another table', async () => {
    await db.database.asSystem((tx) => tx.query(`CREATE TABLE ${table.name}_2026_11 (precious int)`));
    await expect(monthly().ensure()).rejects.toBeInstanceOf(PartitionNameTakenError);
    await db.database.asSystem((tx) => tx.query(`SELECT precious FROM ${table.name}_2026_11`));
  });

  it('wait for a lock only briefly, let others through, and say when they had to give up', async () => {
    await table.insert(1, ['2026-11-02']);
    const holder = new pg.Client(db.url);
    await holder.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(`SELECT * FROM ${table.name}`);
      const partitions = monthly({ monthsAhead: 0, lockTimeoutMs: 20, lockAttempts: 3 });
      await expect(partitions.ensure()).rejects.toBeInstanceOf(PartitionLockedError);
      await table.insert(2, ['2026-11-03']);
      expect(await table.detached()).toEqual([]);
      const patient = monthly({ monthsAhead: 0, lockTimeoutMs: 20, lockAttempts: 100 }).ensure();
      await holder.query('COMMIT');
      expect((await patient).moved).toBe(2);
    } finally {
      await holder.end();
    }
  });

  it('are described wrongly with a typed error that says what the table is', async () => {
    const of = (name: string, column: string) =>
      new MonthlyPartitions(db.database, { table: name, column }, { clock });
    for (const [name, column, actual] of [
      ['nowhere', 'at', 'missing'],
      ['users', 'created_at', 'not partitioned'],
      [table.name, 'id', 'range of "at"'],
    ] as const) {
      const ensured = of(name, column).ensure();
      await expect(ensured).rejects.toBeInstanceOf(PartitionSchemeMismatchError);
      await expect(ensured).rejects.toThrow(`it is ${actual}.`);
    }
    for (const [name, column] of [
      ['records; DROP TABLE users', 'at'],
      ['Records', 'at'],
      ['r'.repeat(41), 'at'],
      ['records', 'at"'],
    ] as const)
      expect(() => of(name, column)).toThrow(PartitionSchemeInvalidError);
    expect(() => monthly({ monthsAhead: -1 })).toThrow(/monthsAhead/);
    expect(() => monthly({ rowsPerLock: 0 })).toThrow(/rowsPerLock/);
  });
});

describe('writers and readers', { timeout: 120_000 }, () => {
  it('lose no row and never miss one while strays move in steps', async () => {
    const rounds = 4;
    const partitions = Array.from({ length: 2 }, () => monthly({ rowsPerLock: 100 }));
    let next = 1;
    let committed = 0;
    let done = false;
    const time = (id: number) =>
      new Date(Date.UTC(2026, 4 + (id % 7), 1 + (id % 28), 0, 0, id)).toISOString();
    const untilDone = async (work: () => Promise<void>) => {
      try {
        while (!done) await work();
      } finally {
        done = true;
      }
    };
    const write = async () => {
      const first = next;
      next += 5;
      await table.insert(
        first,
        [0, 1, 2, 3, 4].map((step) => time(first + step)),
      );
      committed += 5;
    };
    let reads = 0;
    const read = async () => {
      const before = committed;
      const ids = await table.ids();
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.length).toBeGreaterThanOrEqual(before);
      reads++;
    };
    const background = Promise.all([write, write, read, read].map(untilDone));
    let moved = 0;
    try {
      for (let round = 0; round < rounds && !done; round++) {
        const enough = committed + 300;
        while (committed < enough && !done) await new Promise((resolve) => setTimeout(resolve, 5));
        for (const report of await Promise.all(partitions.map((each) => each.moveStrays())))
          moved += report.moved;
        await backIntoDefault(partitions[0]!);
      }
    } finally {
      done = true;
    }
    await background;
    expect(moved).toBeGreaterThan(rounds * 300);
    expect(reads).toBeGreaterThan(0);
    expect(await table.ids()).toEqual(Array.from({ length: next - 1 }, (_, index) => index + 1));
  });

  it('get each partition once from many processes that make them at the same time', async () => {
    for (let round = 0; round < 20; round++) {
      const fresh = await RecordTable.create(db.database, `race_${round}`);
      const workers = Array.from(
        { length: 3 },
        () =>
          new MonthlyPartitions(db.database, { table: fresh.name, column: 'at', monthsAhead: 1 }, { clock }),
      );
      const times = Array.from({ length: 10 }, (_, index) => `2026-1${1 + (index % 2)}-10T00:00:0${index}Z`);
      const writing = Promise.all(times.map((time, index) => fresh.insert(index, [time])));
      const reports = await Promise.all(workers.map((worker) => worker.ensure()));
      await writing;
      const created = reports.flatMap((report) => report.created);
      expect(created.sort()).toEqual([`race_${round}_2026_11`, `race_${round}_2026_12`]);
      expect(await fresh.placement()).toEqual({ '2026_11': 5, '2026_12': 5 });
    }
  });
});

/** Makes strays of all rows, so that there is something to move again. */
function backIntoDefault({ statements }: MonthlyPartitions): Promise<void> {
  return db.database.asSystem(async (tx) => {
    await tx.query(`LOCK TABLE ${table.name} IN ACCESS EXCLUSIVE MODE`);
    for (const { name, bound } of await statements.partitions(tx)) {
      if (bound.kind !== 'range') continue;
      await tx.query(`ALTER TABLE ${table.name} DETACH PARTITION ${name}`);
      await tx.query(`INSERT INTO ${table.name}_default (id, at, note) SELECT id, at, note FROM ${name}`);
      await tx.query(`DROP TABLE ${name}`);
    }
  });
}
