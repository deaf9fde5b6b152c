import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../testing/index.js';
import { MemoryArchiveStore } from './memory-archive-store.js';
import { MonthlyPartitions } from './monthly-partitions.js';
import { PartitionRetention } from './partition-retention.js';
import { DateClock } from './testing/date-clock.js';
import { archivedIds, RecordTable } from './testing/record-table.js';

const START = Date.UTC(2026, 0, 15);
const KEEP_MONTHS = 4;
const MONTHS_AHEAD = 2;
let db: TestDatabase;
let tables = 0;

beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

/** What the table and the archives must hold, whatever was done. */
class Model {
  /** Time of every row ever inserted, by number. */
  readonly times = new Map<number, number>();
  /** Numbers of the rows that the table must show. */
  readonly visible = new Set<number>();
  /** Rows of each archive. */
  readonly archives = new Map<string, readonly number[]>();
  month = 0;
}

class Real {
  readonly clock = new DateClock(START);
  readonly store = new MemoryArchiveStore();
  readonly partitions: MonthlyPartitions;
  readonly retention: PartitionRetention;

  constructor(
    readonly table: RecordTable,
    rowsPerLock: number,
  ) {
    this.partitions = new MonthlyPartitions(
      db.database,
      { table: table.name, column: 'at', monthsAhead: MONTHS_AHEAD, monthsBack: 12, rowsPerLock },
      { clock: this.clock },
    );
    this.retention = new PartitionRetention(this.partitions, this.store, { keepMonths: KEEP_MONTHS });
  }

  /** Rows in the table, in order, once for each time that it shows them. */
  async check(model: Readonly<Model>): Promise<void> {
    expect(await this.table.ids()).toEqual([...model.visible].sort((a, b) => a - b));
    expect(await this.table.detached()).toEqual([]);
    const somewhere = new Set([...model.visible, ...[...model.archives.values()].flat()]);
    expect(somewhere.size).toBe(model.times.size);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

function monthIndex(time: number): number {
  const date = new Date(time);
  return (date.getUTCFullYear() - 2026) * 12 + date.getUTCMonth();
}

class Insert implements Command {
  constructor(private readonly rows: readonly { months: number; at: number }[]) {}

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    const first = model.times.size + 1;
    const times = this.rows.map(({ months, at }) => {
      const start = Date.UTC(2026, model.month + months);
      return start + Math.floor(at * (Date.UTC(2026, model.month + months + 1) - start));
    });
    await real.table.insert(
      first,
      times.map((time) => new Date(time).toISOString()),
    );
    for (const [index, time] of times.entries()) {
      model.times.set(first + index, time);
      model.visible.add(first + index);
    }
    await real.check(model);
  }

  toString = () => `insert ${JSON.stringify(this.rows)}`;
}

class Ensure implements Command {
  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    await real.partitions.ensure();
    const names = (await real.partitions.inspect()).partitions.map(({ name }) => name);
    for (let ahead = 0; ahead <= MONTHS_AHEAD; ahead++) {
      const month = new Date(Date.UTC(2026, model.month + ahead)).toISOString().slice(0, 7).replace('-', '_');
      expect(names).toContain(`${real.table.name}_${month}`);
    }
    await real.check(model);
  }

  toString = () => 'ensure';
}

class MoveStrays implements Command {
  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    await real.partitions.moveStrays();
    const { default: left } = await real.partitions.inspect();
    for (const { of } of left!.contents) {
      const month = monthIndex(Date.parse(`${of}-01T00:00:00Z`)) - model.month;
      expect(month < -12 || month > MONTHS_AHEAD, `rows of ${of} are left`).toBe(true);
    }
    await real.check(model);
  }

  toString = () => 'move strays';
}

class Retire implements Command {
  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    const { archived, busy } = await real.retention.retire();
    expect(busy).toEqual([]);
    for (const { archive, rows } of archived) {
      const ids = await archivedIds(real.store, archive);
      expect(ids).toHaveLength(rows);
      for (const id of ids) {
        expect(model.visible.delete(id), `row ${id} was in the table`).toBe(true);
        expect(monthIndex(model.times.get(id)!) - model.month).toBeLessThan(-KEEP_MONTHS);
      }
      model.archives.set(archive, ids);
    }
    await real.check(model);
  }

  toString = () => 'retire';
}

class Restore implements Command {
  constructor(
    private readonly choice: number,
    private readonly keepDays: number,
  ) {}

  check = (model: Readonly<Model>) => model.archives.size > 0;

  async run(model: Model, real: Real): Promise<void> {
    const archives = [...model.archives];
    const [archive, ids] = archives[this.choice % archives.length]!;
    const missing = ids.filter((id) => !model.visible.has(id));
    const report = await real.retention.restore(archive, { keepDays: this.keepDays });
    expect(report).toEqual({ rows: ids.length, restored: missing.length });
    for (const id of missing) model.visible.add(id);
    await real.check(model);
  }

  toString = () => `restore ${this.choice}`;
}

class MonthsPass implements Command {
  constructor(private readonly months: number) {}

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    model.month += this.months;
    real.clock.time = Date.UTC(2026, model.month, 15);
  }

  toString = () => `${this.months} months pass`;
}

const row = fc.record({
  months: fc.integer({ min: -14, max: 5 }),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
const commands = fc.commands(
  [
    fc.array(row, { minLength: 1, maxLength: 12 }).map((rows) => new Insert(rows)),
    fc.constant(new Ensure()),
    fc.constant(new MoveStrays()),
    fc.constant(new Retire()),
    fc.tuple(fc.nat(), fc.constantFrom(0, 40)).map(([choice, days]) => new Restore(choice, days)),
    fc.integer({ min: 1, max: 3 }).map((months) => new MonthsPass(months)),
  ],
  { maxCommands: 14 },
);

describe('partitions', { timeout: 120_000 }, () => {
  it('show every row exactly once or have it in an archive, in any order of operations', async () => {
    await fc.assert(
      fc.asyncProperty(commands, fc.integer({ min: 1, max: 6 }), async (sequence, rowsPerLock) => {
        const table = await RecordTable.create(db.database, `model_${++tables}`);
        await fc.asyncModelRun(() => ({ model: new Model(), real: new Real(table, rowsPerLock) }), sequence);
      }),
      { numRuns: 30, endOnFailure: true },
    );
  });
});
