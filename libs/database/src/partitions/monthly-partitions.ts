import type { Transaction } from '../core/transaction-scope.js';
import { PartitionOverlapError, PartitionSchemeInvalidError } from './errors.js';
import { endOf, type PartitionBound, parseTime, startOf } from './partition-bound.js';
import { monthName } from './partition-names.js';
import {
  type PartitionChangeOptions,
  type PartitionDatabase,
  type PartitionDependencies,
  type PartitionInfo,
  type PartitionInspection,
  PartitionTable,
} from './partition-table.js';

export interface MonthlyPartitionOptions extends PartitionChangeOptions {
  /** A table `PARTITION BY RANGE (column)`. */
  table: string;
  /** A `timestamptz`, `timestamp` or `date`; months are UTC. */
  column: string;
  /** Months made ahead of time, this month not counted. Default 3. */
  monthsAhead?: number;
  /** Rows older than this stay in the default partition, so that a wrong clock makes no partitions. Default 120. */
  monthsBack?: number;
}

/** What a call changed. */
export interface PartitionReport {
  /** Names of the partitions made. */
  readonly created: readonly string[];
  /** Rows moved out of the default partition. */
  readonly moved: number;
}

export interface PartitionCallOptions {
  /** Stops between two changes, and cancels the one in progress. */
  signal?: AbortSignal;
}

type Range = PartitionInfo & { readonly bound: PartitionBound & { kind: 'range' } };

interface Placement extends PartitionReport {
  readonly complete: boolean;
}

/**
 * One partition per month (UTC), made ahead of time. A row of a month without a partition is kept in the
 * default partition, and moves when its month gets one. Any number of processes may call any method at once.
 */
export class MonthlyPartitions {
  /** @internal for {@link PartitionRetention} */
  readonly statements: PartitionTable;
  private readonly monthsAhead: number;
  private readonly monthsBack: number;

  /** @throws PartitionSchemeInvalidError when a name or an option cannot be. */
  constructor(
    database: PartitionDatabase,
    options: MonthlyPartitionOptions,
    dependencies: PartitionDependencies = {},
  ) {
    this.statements = new PartitionTable(
      database,
      'range',
      options.table,
      options.column,
      options,
      dependencies,
    );
    this.monthsAhead = months('monthsAhead', options.monthsAhead ?? 3);
    this.monthsBack = months('monthsBack', options.monthsBack ?? 120);
  }

  get table(): string {
    return this.statements.table;
  }

  get column(): string {
    return this.statements.column;
  }

  /**
   * Makes the missing partitions of this month and of the months ahead. Costs one query of the catalog when
   * none is missing.
   * @throws PartitionLockedError when the table's locks were not free in time; what was made stays.
   * @throws PartitionSchemeMismatchError, PartitionOverlapError, PartitionNameTakenError when the database
   *   holds something else.
   */
  async ensure({ signal }: PartitionCallOptions = {}): Promise<PartitionReport> {
    const present = await this.ranges(signal);
    const wanted = Array.from({ length: this.monthsAhead + 1 }, (_, ahead) => this.month(ahead));
    return this.placeAll(
      wanted.filter((month) => !present.some((range) => covers(range, month))),
      signal,
    );
  }

  /**
   * Moves rows out of the default partition into the partitions of their months, which are made where they
   * are missing: for months up to `monthsBack` ago and `monthsAhead` from now. A row is always visible in
   * exactly one place. The table is locked for as long as `rowsPerLock` rows take to move (more if they have the
   * same time): of a month with more the partition begins short and grows.
   * Throws what {@link ensure} does; rows moved by then stay moved.
   */
  async moveStrays({ signal }: PartitionCallOptions = {}): Promise<PartitionReport> {
    return this.placeAll(await this.strayMonths(this.month(this.monthsAhead + 1), signal), signal);
  }

  /** The partitions, and of which months the rows in the default one are. Reads all of that one. */
  inspect({ signal }: PartitionCallOptions = {}): Promise<PartitionInspection> {
    const { column } = this;
    return this.statements.inspect(
      `CASE WHEN isfinite(${column}) THEN to_char(${column}, 'YYYY-MM') ELSE ${column}::text END`,
      signal,
    );
  }

  /** Start of the month `offset` months from now, in milliseconds since the epoch. */
  month(offset: number): number {
    const now = new Date(this.statements.clock.now());
    return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset);
  }

  /** Months before `end` that have rows in the default partition, or a partition that has not grown to its end. */
  async strayMonths(end: number, signal: AbortSignal | undefined): Promise<number[]> {
    return this.statements.transaction(async (tx) => {
      const all = await this.statements.partitions(tx);
      const unfinished = all.filter(isRange).flatMap((range) => {
        const month = startOf(range.bound);
        return isOwn(range, this.table, month) && !covers(range, month) ? [month] : [];
      });
      const fallback = all.find(({ bound }) => bound.kind === 'default');
      const rows = fallback
        ? await tx.query<{ month: string }>(
            `SELECT DISTINCT date_trunc('month', ${this.column})::text AS month FROM ${fallback.name}
             WHERE ${this.column} >= $1 AND ${this.column} < $2`,
            [timeText(this.month(-this.monthsBack)), timeText(end)],
          )
        : [];
      const months = new Set([...unfinished, ...rows.map(({ month }) => parseTime(month))]);
      return [...months].filter((month) => month < end).sort((a, b) => a - b);
    }, signal);
  }

  async placeAll(months: readonly number[], signal: AbortSignal | undefined): Promise<PartitionReport> {
    const created: string[] = [];
    let moved = 0;
    for (const month of months) {
      const placed = await this.place(month, signal);
      created.push(...placed.created);
      moved += placed.moved;
    }
    return { created, moved };
  }

  /** Makes the partition of one month, or lets it grow to its end; `keepUntil` keeps it from being retired. */
  async place(month: number, signal: AbortSignal | undefined, keepUntil?: string): Promise<PartitionReport> {
    const name = monthName(this.table, month);
    const created: string[] = [];
    for (let moved = 0; ; ) {
      const step = await this.statements.exclusively(
        name,
        (tx) => this.placeNext(tx, name, month, keepUntil),
        signal,
      );
      created.push(...step.created);
      moved += step.moved;
      if (step.complete) return { created, moved };
    }
  }

  /**
   * Attaching a partition demands that the default one holds no row of it, so those move in the same
   * transaction. When there are too many for one
   * lock, the partition gets the first of them and the bounds that fit; the next step takes it out, adds rows
   * and attaches it with wider bounds, unseen by anybody else.
   */
  private async placeNext(
    tx: Transaction,
    name: string,
    month: number,
    keepUntil: string | undefined,
  ): Promise<Placement> {
    const { statements, table, column } = this;
    const all = await statements.partitions(tx);
    const ranges = all.filter(isRange);
    const covering = ranges.find((range) => covers(range, month));
    if (covering) {
      if (keepUntil) await statements.mark(tx, covering.name, { keepUntil });
      return { created: [], moved: 0, complete: true };
    }
    const grown = ranges.find((range) => isOwn(range, table, month));
    const other = ranges.find(
      (range) => range !== grown && startOf(range.bound) < nextMonth(month) && endOf(range.bound) > month,
    );
    if (other) throw new PartitionOverlapError(name, other.name);

    const from = timeText(month);
    const start = grown?.bound.to ?? from;
    const monthEnd = timeText(nextMonth(month));
    const fallback = all.find(({ bound }) => bound.kind === 'default');
    const end = fallback ? await this.batchEnd(tx, fallback.name, start, monthEnd) : monthEnd;
    await statements.lock(tx, fallback);
    if (grown) await tx.query(`ALTER TABLE ${table} DETACH PARTITION ${name}`);
    else await statements.createDetached(tx, name);
    const moved = fallback
      ? await statements.move(tx, fallback.name, name, `${column} >= $1 AND ${column} < $2`, [start, end])
      : 0;
    await tx.query(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${end}')`);
    if (keepUntil) await statements.mark(tx, name, { keepUntil });
    return { created: grown ? [] : [name], moved, complete: end === monthEnd };
  }

  /** Where the next `rowsPerLock` rows end. Rows of the same time cannot be told apart by a bound. */
  private async batchEnd(tx: Transaction, fallback: string, start: string, end: string): Promise<string> {
    const { column } = this;
    const [next] = await tx.query<{ time: string | null }>(
      `SELECT (SELECT min(${column}) FROM ${fallback} WHERE ${column} >= $1 AND ${column} < $2
               AND ${column} >= bound.at AND ${column} > first.at)::text AS time
       FROM (SELECT min(${column}) AS at FROM ${fallback} WHERE ${column} >= $1 AND ${column} < $2) first,
            (SELECT ${column} AS at FROM ${fallback} WHERE ${column} >= $1 AND ${column} < $2
             ORDER BY ${column} OFFSET $3 LIMIT 1) bound`,
      [start, end, this.statements.rowsPerLock],
    );
    return next?.time ?? end;
  }

  private ranges(signal: AbortSignal | undefined): Promise<Range[]> {
    return this.statements.transaction(
      async (tx) => (await this.statements.partitions(tx)).filter(isRange),
      signal,
    );
  }
}

export function isRange(partition: PartitionInfo): partition is Range {
  return partition.bound.kind === 'range';
}

/** As PostgreSQL writes it in UTC; understood for `timestamptz`, `timestamp` and `date`. */
export function timeText(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')}+00`;
}

/** Start of the month after the one that begins at `month`. */
export function nextMonth(month: number): number {
  const start = new Date(month);
  return Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1);
}

function covers({ bound }: Range, month: number): boolean {
  return startOf(bound) <= month && endOf(bound) >= nextMonth(month);
}

/** True for a partition that was made for this month, whatever part of it it holds by now. */
function isOwn(range: Range, table: string, month: number): boolean {
  return Number.isFinite(month) && startOf(range.bound) === month && range.name === monthName(table, month);
}

function months(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 1200)
    throw new PartitionSchemeInvalidError(`${name} must be a whole number from 0 to 1200.`);
  return value;
}
