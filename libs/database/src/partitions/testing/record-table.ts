import { once } from 'node:events';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Database } from '../../core/database.service.js';
import type { ArchiveStore } from '../archive-store.port.js';

/** A partitioned table of a test: numbered rows with a time and a text. */
export class RecordTable {
  private constructor(
    private readonly database: Database,
    readonly name: string,
  ) {}

  /** Makes the table, partitioned by month of `at`, with an empty default partition. */
  static async create(database: Database, name: string): Promise<RecordTable> {
    await database.asSystem(async (tx) => {
      await tx.query(
        `CREATE TABLE ${name} (id int, at timestamptz NOT NULL, note text NOT NULL DEFAULT '',
           length int GENERATED ALWAYS AS (length(note)) STORED, PRIMARY KEY (id, at))
         PARTITION BY RANGE (at)`,
      );
      await tx.query(`CREATE TABLE ${name}_default PARTITION OF ${name} DEFAULT`);
      await tx.query(`CREATE INDEX ON ${name} (at)`);
    });
    return new RecordTable(database, name);
  }

  /** Inserts rows numbered from `first`, one for each time. */
  async insert(first: number, times: readonly string[], note = ''): Promise<void> {
    await this.database.asSystem((tx) =>
      tx.query(
        `INSERT INTO ${this.name} (id, at, note)
         SELECT $1 + ordinality - 1, at, $3 FROM unnest($2::timestamptz[]) WITH ORDINALITY AS t (at, ordinality)`,
        [first, times, note],
      ),
    );
  }

  /** The numbers of all rows, in order. */
  async ids(): Promise<number[]> {
    const rows = await this.database.asSystem((tx) =>
      tx.query<{ id: number }>(`SELECT id FROM ${this.name} ORDER BY id`),
    );
    return rows.map(({ id }) => id);
  }

  /** How many rows are where, by the part of the partition's name behind the table's. */
  async placement(): Promise<Record<string, number>> {
    const rows = await this.database.asSystem((tx) =>
      tx.query<{ place: string; rows: number }>(
        `SELECT tableoid::regclass::text AS place, count(*)::int AS rows FROM ${this.name} GROUP BY 1 ORDER BY 1`,
      ),
    );
    return Object.fromEntries(rows.map(({ place, rows }) => [place.slice(this.name.length + 1), rows]));
  }

  /** Tables of this name that are no partitions (any more). */
  async detached(): Promise<string[]> {
    const rows = await this.database.asSystem((tx) =>
      tx.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class
         WHERE relkind = 'r' AND NOT relispartition AND relname LIKE $1 ORDER BY 1`,
        [`${this.name.replaceAll('_', '\\_')}\\_%`],
      ),
    );
    return rows.map(({ name }) => name);
  }
}

/** The first value of each row of an archive, read without the code that wrote it. */
export async function archivedIds(store: ArchiveStore, archive: string): Promise<number[]> {
  const gunzip = Readable.from(store.read(`${archive}.copy.gz`)).pipe(createGunzip());
  const chunks: Buffer[] = [];
  gunzip.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(gunzip, 'end');
  const lines = Buffer.concat(chunks).toString().split('\n').slice(0, -1);
  return lines.map((line) => Number(line.split('\t')[0]));
}
