import { randomBytes } from 'node:crypto';
import type { Transaction } from '../core/transaction-scope.js';
import type { ArchiveStore } from './archive-store.port.js';
import {
  ArchiveDamagedError,
  ArchiveMismatchError,
  ArchiveNotFoundError,
  PartitionKeyMissingError,
  PartitionSchemeInvalidError,
} from './errors.js';
import {
  isRange,
  type MonthlyPartitions,
  nextMonth,
  type PartitionCallOptions,
} from './monthly-partitions.js';
import { type ArchiveManifest, type ArchiveRow, PartitionArchives } from './partition-archive.js';
import { endOf, parseTime } from './partition-bound.js';
import { type PartitionMark, parseMark } from './partition-mark.js';
import { retiredName } from './partition-names.js';
import { type PartitionInfo, quoteName } from './partition-table.js';

export interface RetentionOptions {
  /** Months kept besides the current one, at least 1. Months that ended before them are archived. */
  keepMonths: number;
}

export interface RetentionReport {
  /** Archives completed by this call; the partitions they hold are gone. */
  readonly archived: readonly { readonly archive: string; readonly rows: number }[];
  /** Tables taken out of the partitions that another process is archiving at this moment. */
  readonly busy: readonly string[];
}

export interface RestoreOptions extends PartitionCallOptions {
  /** How long the restored months are not archived again. Default 7 days. */
  keepDays?: number;
}

export interface RestoreReport {
  /** Rows in the archive. */
  readonly rows: number;
  /** Those of them that the table did not have. */
  readonly restored: number;
}

type Retired = NonNullable<PartitionMark['retired']>;

const ROWS_PER_FETCH = 2_000;
const DAY_MS = 24 * 3_600_000;

/**
 * Takes old months out of a table, archives them, and restores them. What remains to be done is read from the
 * database and the store: a partition that is still attached, a table that was taken out and is marked with
 * the name of its archive, an archive with a manifest. So any call finishes what a killed process began, and
 * a table is dropped only after its archive was read back and has as many rows.
 */
export class PartitionRetention {
  private readonly archive: PartitionArchives;
  private readonly keepMonths: number;

  /** @throws PartitionSchemeInvalidError when `keepMonths` is not a whole number from 1 to 1200. */
  constructor(
    private readonly partitions: MonthlyPartitions,
    archives: ArchiveStore,
    { keepMonths }: RetentionOptions,
  ) {
    if (!Number.isInteger(keepMonths) || keepMonths < 1 || keepMonths > 1200)
      throw new PartitionSchemeInvalidError('keepMonths must be a whole number from 1 to 1200.');
    this.keepMonths = keepMonths;
    this.archive = new PartitionArchives(archives);
  }

  /**
   * Archives every month that is over by more than `keepMonths`, rows that came late included, and drops it.
   * @throws PartitionLockedError when the table's locks were not free in time; the next call goes on.
   * @throws ArchiveDamagedError when an archive does not read back as it was written; its table is kept.
   */
  async retire({ signal }: PartitionCallOptions = {}): Promise<RetentionReport> {
    const cutoff = this.partitions.month(-this.keepMonths);
    await this.partitions.placeAll(await this.partitions.strayMonths(cutoff, signal), signal);
    for (const partition of await this.attached(cutoff, signal))
      await this.takeOut(partition, cutoff, signal);

    const archived: { archive: string; rows: number }[] = [];
    const busy: string[] = [];
    for (const [name, retired] of await this.takenOut(signal)) {
      const done = await this.partitions.statements.ifFree(
        name,
        (tx) => this.archiveAndDrop(tx, name, retired),
        signal,
      );
      if (done === undefined) busy.push(name);
      else if (done.rows > 0) archived.push({ archive: retired.archive, rows: done.rows });
    }
    return { archived, busy };
  }

  /** Names of the table's archives, the oldest months first. */
  archives(): Promise<string[]> {
    return this.archive.names(this.partitions.table);
  }

  /**
   * What an archive holds, after reading all of it.
   * @throws ArchiveNotFoundError, ArchiveDamagedError
   */
  verify(archive: string): Promise<ArchiveManifest> {
    return this.archive.verify(archive);
  }

  /**
   * Loads an archive into the table, in one transaction. Rows that the table has by their primary key stay as
   * they are, so restoring twice, or at the same time, doubles nothing. The archive stays.
   * @throws ArchiveNotFoundError, ArchiveDamagedError when it is not what was archived; nothing is changed.
   * @throws ArchiveMismatchError when it is of another table, or columns were dropped or changed since.
   * @throws PartitionKeyMissingError when the table has no primary key.
   * @throws PartitionLockedError when the table's locks were not free in time.
   */
  async restore(archive: string, { keepDays = 7, signal }: RestoreOptions = {}): Promise<RestoreReport> {
    const { statements, table } = this.partitions;
    const manifest = await this.archive.verify(archive);
    await statements.transaction((tx) => this.checkFit(tx, archive, manifest), signal);

    const keepUntil = new Date(statements.clock.now() + keepDays * DAY_MS).toISOString();
    const first = new Date(parseTime(manifest.from));
    const end = parseTime(manifest.to);
    for (
      let month = Date.UTC(first.getUTCFullYear(), first.getUTCMonth());
      month < end;
      month = nextMonth(month)
    )
      await this.partitions.place(month, signal, keepUntil);

    return statements.transaction(async (tx) => {
      const types = await this.checkFit(tx, archive, manifest);
      const columns = manifest.columns.map(({ name }) => quoteName(name)).join(', ');
      const texts = types.map((_, index) => `c${index}`);
      const insert = `WITH added AS (
          INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE
          SELECT ${texts.map((text, index) => `${text}::${types[index]}`).join(', ')}
          FROM unnest(${texts.map((_, index) => `$${index + 1}::text[]`).join(', ')}) AS row (${texts.join(', ')})
          ON CONFLICT DO NOTHING RETURNING 1)
        SELECT count(*)::float8 AS count FROM added`;
      let restored = 0;
      for await (const rows of this.archive.rows(archive, manifest)) {
        const [added] = await tx.query<{ count: number }>(
          insert,
          texts.map((_, index) => rows.map((row) => row[index])),
        );
        restored += added!.count;
      }
      return { rows: manifest.rows, restored };
    }, signal);
  }

  private attached(cutoff: number, signal: AbortSignal | undefined): Promise<PartitionInfo[]> {
    const { statements } = this.partitions;
    return statements.transaction(
      async (tx) => (await statements.partitions(tx)).filter((partition) => this.isOver(partition, cutoff)),
      signal,
    );
  }

  private isOver(partition: PartitionInfo, cutoff: number): boolean {
    const keepUntil = partition.mark?.keepUntil;
    return (
      isRange(partition) &&
      partition.bound.from !== undefined &&
      endOf(partition.bound) <= cutoff &&
      !(keepUntil && Date.parse(keepUntil) > this.partitions.statements.clock.now())
    );
  }

  /**
   * `DETACH … CONCURRENTLY` is not possible beside a default partition. The plain form changes the catalog only,
   * so everybody waits for as long as it waits for its lock, which is bounded.
   */
  private takeOut({ name }: PartitionInfo, cutoff: number, signal: AbortSignal | undefined): Promise<void> {
    const { statements, table } = this.partitions;
    return statements.exclusively(
      name,
      async (tx) => {
        const all = await statements.partitions(tx);
        const partition = all.find((candidate) => candidate.name === name);
        if (!partition || !isRange(partition) || !this.isOver(partition, cutoff)) return;
        const fallback = all.find(({ bound }) => bound.kind === 'default');
        const from = partition.bound.from!;
        const id = randomBytes(4).toString('hex');
        const base = `${table}_${from.slice(0, 7).replace('-', '_')}`;
        const stamp = new Date(statements.clock.now()).toISOString().slice(0, 19).replace(/[-:T]/g, '');
        const retired = retiredName(base, id);
        await statements.lock(tx, fallback);
        await tx.query(`ALTER TABLE ${table} DETACH PARTITION ${name}`);
        await tx.query(`ALTER TABLE ${name} RENAME TO ${retired}`);
        await statements.mark(tx, retired, {
          retired: { partition: name, from, to: partition.bound.to!, archive: `${base}.${stamp}-${id}` },
        });
      },
      signal,
    );
  }

  private takenOut(signal: AbortSignal | undefined): Promise<[string, Retired][]> {
    const { statements, table } = this.partitions;
    return statements.transaction(async (tx) => {
      const rows = await tx.query<{ name: string; comment: string }>(
        `SELECT c.oid::regclass::text AS name, d.description AS comment
         FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
         WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND starts_with(d.description, '{"sparkle"')
           AND c.relkind = 'r' AND NOT c.relispartition
         ORDER BY c.relname`,
      );
      return rows.flatMap(({ name, comment }): [string, Retired][] => {
        const mark = parseMark(comment);
        return mark?.of === table && mark.retired ? [[name, mark.retired]] : [];
      });
    }, signal);
  }

  private async archiveAndDrop(tx: Transaction, name: string, retired: Retired): Promise<{ rows: number }> {
    const { statements, table, column } = this.partitions;
    const [present] = await tx.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      name,
    ]);
    if (!present!.there) return { rows: 0 };
    await tx.query(`LOCK TABLE ${name} IN SHARE MODE`);
    const [counted] = await tx.query<{ rows: number }>(`SELECT count(*)::float8 AS rows FROM ${name}`);
    const { rows } = counted!;
    if (rows > 0) {
      const { archive, from, to } = retired;
      if (!(await this.exists(archive))) {
        const columns = (await statements.columns(tx)).filter(({ generated }) => !generated);
        const about = {
          table,
          column,
          from,
          to,
          columns: columns.map((each) => ({ name: each.name, type: each.type })),
          archivedAt: new Date(statements.clock.now()).toISOString(),
        };
        await this.archive.write(archive, about, rowsOf(tx, name, columns));
      }
      const manifest = await this.archive.verify(archive);
      if (manifest.rows !== rows)
        throw new ArchiveDamagedError(
          archive,
          `it has ${manifest.rows} rows, and table "${name}" has ${rows}`,
        );
    }
    await tx.query(`DROP TABLE ${name}`);
    return { rows };
  }

  private async exists(archive: string): Promise<boolean> {
    try {
      await this.archive.manifest(archive);
      return true;
    } catch (error) {
      if (error instanceof ArchiveNotFoundError) return false;
      throw error;
    }
  }

  /** The types of the archive's columns in the table. */
  private async checkFit(tx: Transaction, archive: string, manifest: ArchiveManifest): Promise<string[]> {
    const { statements, table, column } = this.partitions;
    const differences: string[] = [];
    if (manifest.table !== table) differences.push(`it is of table "${manifest.table}"`);
    if (manifest.column !== column) differences.push(`it was partitioned by "${manifest.column}"`);
    const columns = new Map((await statements.columns(tx)).map((each) => [each.name, each]));
    for (const { name, type } of manifest.columns) {
      const now = columns.get(name);
      if (!now) differences.push(`column "${name}" does not exist`);
      else if (now.generated) differences.push(`column "${name}" is computed now`);
      else if (now.type !== type) differences.push(`column "${name}" is ${now.type} and was ${type}`);
    }
    const archived = new Set(manifest.columns.map(({ name }) => name));
    for (const { name, optional } of columns.values())
      if (!optional && !archived.has(name)) differences.push(`column "${name}" has no default`);
    if (differences.length > 0) throw new ArchiveMismatchError(archive, differences);
    const [key] = await tx.query('SELECT 1 FROM pg_index WHERE indrelid = to_regclass($1) AND indisprimary', [
      table,
    ]);
    if (!key) throw new PartitionKeyMissingError(table, 'restoring an archive');
    return manifest.columns.map(({ name }) => columns.get(name)!.type);
  }
}

/** The rows of a table in batches, through a cursor: memory does not grow with the table. */
async function* rowsOf(
  tx: Transaction,
  table: string,
  columns: readonly { name: string }[],
): AsyncIterable<ArchiveRow[]> {
  const texts = columns.map(({ name }, index) => `${quoteName(name)}::text AS c${index}`);
  await tx.query(`DECLARE archived NO SCROLL CURSOR FOR SELECT ${texts.join(', ')} FROM ${table}`);
  for (;;) {
    const rows = await tx.query<Record<string, string | null>>(`FETCH ${ROWS_PER_FETCH} FROM archived`);
    if (rows.length === 0) break;
    yield rows.map((row) => columns.map((_, index) => row[`c${index}`]!));
  }
  await tx.query('CLOSE archived');
}
