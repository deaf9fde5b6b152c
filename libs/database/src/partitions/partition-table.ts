import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import pg from 'pg';
import { errorCode } from '../core/connection-failure.js';
import type { Database } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import {
  PartitionLockedError,
  PartitionNameTakenError,
  PartitionSchemeInvalidError,
  PartitionSchemeMismatchError,
} from './errors.js';
import { type PartitionBound, parseBound } from './partition-bound.js';
import { type PartitionMark, parseMark } from './partition-mark.js';
import { checkNames } from './partition-names.js';

/** How partitions are changed while others use the table. */
export interface PartitionChangeOptions {
  /**
   * How long an attempt may wait for a lock, and let others wait behind it. The first waits 100 ms and each one
   * twice as long as the one before, up to this. Default 2 s: autovacuum gives way after 1 s.
   */
  lockTimeoutMs?: number;
  /** Attempts to get the locks before `PartitionLockedError`. Default 20, with growing pauses up to 2 s. */
  lockAttempts?: number;
  /** Rows moved out of the default partition while it is locked. Default 20 000. */
  rowsPerLock?: number;
}

/** The part of {@link Database} that partitions need. */
export type PartitionDatabase = Pick<Database, 'asSystem'>;

export interface PartitionDependencies {
  clock?: Clock;
  random?: Random;
}

/** A partition as it is. */
export interface PartitionInfo {
  /** As in SQL: quoted, and with its schema, where that is necessary. */
  readonly name: string;
  readonly bound: PartitionBound;
  /** The planner's estimate; 0 when the table was never analysed and nothing was counted. */
  readonly rows: number;
  /** With indexes and out-of-line values. */
  readonly bytes: number;
  readonly mark: PartitionMark | undefined;
}

/** A table with all its partitions. */
export interface PartitionInspection {
  readonly table: string;
  readonly kind: PartitionKind;
  readonly column: string;
  /** Those for certain rows, ordered by name. */
  readonly partitions: readonly PartitionInfo[];
  /** Where rows without a partition of their own are, and of which months (`2026-11`) or values they are. */
  readonly default:
    | (PartitionInfo & {
        readonly contents: readonly { readonly of: string | null; readonly rows: number }[];
      })
    | undefined;
}

export type PartitionKind = 'range' | 'list' | 'hash';

interface TableColumn {
  readonly name: string;
  readonly type: string;
  /** Computed by PostgreSQL from other columns. */
  readonly generated: boolean;
  /** A row need not name it. */
  readonly optional: boolean;
}

const STRATEGIES: Readonly<Record<string, PartitionKind>> = { r: 'range', l: 'list', h: 'hash' };
const LOCK_NOT_AVAILABLE = '55P03';
const DUPLICATE_TABLE = '42P07';
const LOCK_TIMEOUT_BASE_MS = 100;
const BACKOFF_BASE_MS = 50;
const BACKOFF_CAP_MS = 2_000;

/** Text of values must not depend on the session's settings: bounds are compared and archives read by others. */
const SESSION = `SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, MDY', true),
  set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
  set_config('extra_float_digits', '1', true), set_config('lock_timeout', $1, true),
  set_config('idle_in_transaction_session_timeout', '0', true)`;

/**
 * The statements that every kind of partitioned table shares. Changes of one partition are made one at a time,
 * whoever makes them, by an advisory lock on its name; table locks are waited for briefly and asked for again,
 * since whoever waits for one makes everybody behind him wait.
 */
export class PartitionTable {
  readonly clock: Clock;
  readonly rowsPerLock: number;
  private readonly random: Random;
  private readonly lockTimeoutMs: number;
  private readonly lockAttempts: number;

  /** @throws PartitionSchemeInvalidError when a name or an option cannot be. */
  constructor(
    private readonly database: PartitionDatabase,
    readonly kind: PartitionKind,
    readonly table: string,
    readonly column: string,
    options: PartitionChangeOptions,
    dependencies: PartitionDependencies,
  ) {
    checkNames(table, column);
    this.lockTimeoutMs = positive('lockTimeoutMs', options.lockTimeoutMs ?? 2_000);
    this.lockAttempts = positive('lockAttempts', options.lockAttempts ?? 20);
    this.rowsPerLock = positive('rowsPerLock', options.rowsPerLock ?? 20_000);
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
  }

  /** Runs `work` in one transaction over all tenants, with settings that make text independent of the session. */
  transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    signal: AbortSignal | undefined,
    lockTimeoutMs = this.lockTimeoutMs,
  ): Promise<T> {
    return this.database.asSystem(
      async (tx) => {
        await tx.query(SESSION, [`${lockTimeoutMs}ms`]);
        return work(tx);
      },
      // A snapshot taken before the lock was granted would hide what its last holder did.
      { isolation: 'READ COMMITTED', ...(signal && { signal }) },
    );
  }

  /**
   * Runs `work` in a transaction of its own while nobody else changes the partition called `name`.
   * @throws PartitionLockedError when a lock was not free in any attempt.
   */
  async exclusively<T>(
    name: string,
    work: (tx: Transaction) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const patience = Math.min(this.lockTimeoutMs, LOCK_TIMEOUT_BASE_MS * 2 ** (attempt - 1));
      try {
        return await this.transaction(
          async (tx) => {
            await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockName(name)]);
            return work(tx);
          },
          signal,
          patience,
        );
      } catch (error) {
        if (errorCode(error) === DUPLICATE_TABLE) throw new PartitionNameTakenError(name);
        if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
        if (attempt >= this.lockAttempts)
          throw new PartitionLockedError(this.table, attempt, { cause: error });
      }
      const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** (attempt - 1));
      await this.clock.sleep(ceiling / 2 + (this.random.next() * ceiling) / 2, signal);
    }
  }

  /**
   * As {@link exclusively}, in one attempt; `undefined` at once when somebody else has the partition.
   * @throws PartitionLockedError when a table's lock was not free in time.
   */
  async ifFree<T>(
    name: string,
    work: (tx: Transaction) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T | undefined> {
    try {
      return await this.transaction(async (tx) => {
        const [lock] = await tx.query<{ free: boolean }>(
          'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS free',
          [lockName(name)],
        );
        return lock!.free ? work(tx) : undefined;
      }, signal);
    } catch (error) {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
      throw new PartitionLockedError(this.table, 1, { cause: error });
    }
  }

  /**
   * Its partitions now, the default one included, ordered by name.
   * @throws PartitionSchemeMismatchError when the table is not partitioned as described.
   */
  async partitions(tx: Transaction): Promise<PartitionInfo[]> {
    const rows = await tx.query<{
      strategy: string | null;
      columns: number | null;
      column: string | null;
      name: string | null;
      bound: string | null;
      comment: string | null;
      rows: string | null;
      bytes: string | null;
    }>(
      `SELECT p.partstrat AS strategy, p.partnatts AS columns, a.attname AS column,
              c.oid::regclass::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bound,
              obj_description(c.oid, 'pg_class') AS comment,
              CASE WHEN c.reltuples < 0 THEN pg_stat_get_live_tuples(c.oid) ELSE c.reltuples END::bigint AS rows,
              pg_total_relation_size(c.oid) AS bytes
       FROM pg_class parent
       LEFT JOIN pg_partitioned_table p ON p.partrelid = parent.oid
       LEFT JOIN pg_attribute a ON a.attrelid = parent.oid AND a.attnum = p.partattrs[0]
       LEFT JOIN pg_inherits i ON i.inhparent = parent.oid
       LEFT JOIN pg_class c ON c.oid = i.inhrelid
       WHERE parent.oid = to_regclass($1)
       ORDER BY c.relname`,
      [this.table],
    );
    const expected = `${this.kind} of "${this.column}"`;
    const [first] = rows;
    if (!first) throw new PartitionSchemeMismatchError(this.table, expected, 'missing');
    const kind = first.strategy && STRATEGIES[first.strategy];
    if (!kind) throw new PartitionSchemeMismatchError(this.table, expected, 'not partitioned');
    if (kind !== this.kind || first.columns !== 1 || first.column !== this.column) {
      const actual = `${kind} of ${first.columns === 1 && first.column ? `"${first.column}"` : 'something else'}`;
      throw new PartitionSchemeMismatchError(this.table, expected, actual);
    }
    return rows.flatMap(({ name, bound, comment, rows, bytes }) =>
      name && bound
        ? [
            {
              name,
              bound: parseBound(bound),
              rows: Number(rows),
              bytes: Number(bytes),
              mark: parseMark(comment),
            },
          ]
        : [],
    );
  }

  /** The partitions with what is in the default one, grouped by the expression `of`. Reads all of that one. */
  async inspect(of: string, signal: AbortSignal | undefined): Promise<PartitionInspection> {
    return this.transaction(async (tx) => {
      const all = await this.partitions(tx);
      const fallback = all.find(({ bound }) => bound.kind === 'default');
      const contents = fallback
        ? await tx.query<{ of: string | null; rows: number }>(
            `SELECT ${of} AS of, count(*)::float8 AS rows FROM ${fallback.name} GROUP BY 1 ORDER BY 1`,
          )
        : [];
      return {
        table: this.table,
        kind: this.kind,
        column: this.column,
        partitions: all.filter((partition) => partition !== fallback),
        default: fallback && { ...fallback, contents },
      };
    }, signal);
  }

  /** Makes a table that can become a partition. */
  async createDetached(tx: Transaction, name: string): Promise<void> {
    await tx.query(
      `CREATE TABLE ${name} (LIKE ${this.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS
       INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)`,
    );
  }

  /**
   * Keeps everybody from the table until the transaction ends. Less would not do where rows move between
   * partitions: a statement that chose its partitions before would not look into the new one, and an insert that
   * chose the default partition would fail.
   */
  async lock(tx: Transaction, fallback: PartitionInfo | undefined): Promise<void> {
    await tx.query(`LOCK TABLE ONLY ${this.table} IN ACCESS EXCLUSIVE MODE`);
    if (fallback) await tx.query(`LOCK TABLE ${fallback.name} IN ACCESS EXCLUSIVE MODE`);
  }

  /** Moves the rows for which `condition` holds. */
  async move(
    tx: Transaction,
    from: string,
    to: string,
    condition: string,
    parameters: readonly unknown[],
  ): Promise<number> {
    const columns = (await this.columns(tx)).filter(({ generated }) => !generated);
    const list = columns.map(({ name }) => quoteName(name)).join(', ');
    const [moved] = await tx.query<{ count: number }>(
      `WITH gone AS (DELETE FROM ${from} WHERE ${condition} RETURNING ${list}),
            kept AS (INSERT INTO ${to} (${list}) OVERRIDING SYSTEM VALUE SELECT * FROM gone RETURNING 1)
       SELECT count(*)::float8 AS count FROM kept`,
      parameters,
    );
    return moved!.count;
  }

  /** The table's columns in order. */
  columns(tx: Transaction): Promise<TableColumn[]> {
    return tx.query<TableColumn>(
      `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attgenerated <> '' AS generated,
              NOT attnotnull OR atthasdef OR attidentity <> '' AS optional
       FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      [this.table],
    );
  }

  /** Notes on a partition what its bounds do not tell. */
  async mark(tx: Transaction, name: string, mark: Omit<PartitionMark, 'sparkle' | 'of'>): Promise<void> {
    const text = JSON.stringify({ sparkle: 'partition', of: this.table, ...mark });
    await tx.query(`COMMENT ON TABLE ${name} IS ${pg.escapeLiteral(text)}`);
  }
}

/** A name read from the catalog, for use in a statement. */
export function quoteName(name: string): string {
  return pg.escapeIdentifier(name);
}

function lockName(partition: string): string {
  return `sparkle partition ${partition}`;
}

function positive(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new PartitionSchemeInvalidError(`${name} must be a whole number above 0.`);
  return value;
}
