import type { SqlClient } from '@sparkle/contracts';
import { quoted, type ShardTableLayout } from './shard-tables.js';

/** A row as the text of each of its columns, in the order of the layout. Text loses nothing of any type. */
export type RowText = readonly (string | null)[];

/** A primary key as text, in the order of the layout. */
export type KeyText = readonly string[];

/** Rows of one statement; an embedding of 512 numbers is about 5 KB of text. */
export const BATCH_ROWS = 500;

/**
 * Prepares a transaction for reading and writing rows of buckets: one text form on both servers, and a limit of
 * the pause between two statements, where 0 means none. With `replica` neither triggers nor foreign keys act, so
 * rows may come in any order.
 */
export async function prepareTransfer(sql: SqlClient, mode: 'read' | 'replica', pauseMs = 0): Promise<void> {
  const settings = [
    "set_config('datestyle', 'ISO, YMD', true)",
    "set_config('intervalstyle', 'postgres', true)",
    "set_config('bytea_output', 'hex', true)",
    "set_config('extra_float_digits', '1', true)",
    "set_config('idle_in_transaction_session_timeout', $1, true)",
    ...(mode === 'replica' ? ["set_config('session_replication_role', 'replica', true)"] : []),
  ];
  await sql.query(`SELECT ${settings.join(', ')}`, [String(pauseMs)]);
}

const textOf = (layout: ShardTableLayout) =>
  `ARRAY[${layout.columns.map(({ name }) => `t.${quoted(name)}::text`).join(', ')}]`;

const inBucket = (layout: ShardTableLayout, place: string) =>
  `shard_bucket(t.${quoted(layout.key)}::text) = ${place}`;

/** `unnest` of one text array per column, and the parameters for it. */
function unnested(rows: readonly RowText[], width: number, firstPlace: number) {
  const names = Array.from({ length: width }, (_, index) => `v${index}`);
  return {
    from: `unnest(${names.map((_, index) => `$${firstPlace + index}::text[]`).join(', ')}) AS k(${names.join(', ')})`,
    parameters: names.map((_, index) => rows.map((row) => row[index] ?? null)),
  };
}

/** Every row of a bucket in batches, through a cursor of the transaction. */
export async function* readBucket(
  sql: SqlClient,
  layout: ShardTableLayout,
  bucket: number,
): AsyncGenerator<RowText[]> {
  await sql.query(
    `DECLARE bucket_rows NO SCROLL CURSOR FOR
     SELECT ${textOf(layout)} AS row FROM ${layout.table} t WHERE ${inBucket(layout, String(bucket))}`,
  );
  for (;;) {
    const rows = await sql.query<{ row: RowText }>(`FETCH ${BATCH_ROWS} FROM bucket_rows`);
    if (rows.length > 0) yield rows.map(({ row }) => row);
    if (rows.length < BATCH_ROWS) break;
  }
  await sql.query('CLOSE bucket_rows');
}

/** Those rows of a bucket that have one of `keys` now. */
export async function readRows(
  sql: SqlClient,
  layout: ShardTableLayout,
  bucket: number,
  keys: readonly KeyText[],
): Promise<RowText[]> {
  const values = unnested(keys, layout.primaryKey.length, 2);
  const rows = await sql.query<{ row: RowText }>(
    `SELECT ${textOf(layout)} AS row FROM ${layout.table} t
     JOIN ${values.from} ON ${matches(layout)} WHERE ${inBucket(layout, '$1')}`,
    [bucket, ...values.parameters],
  );
  return rows.map(({ row }) => row);
}

/** Stores rows as they are. */
export async function insertRows(
  sql: SqlClient,
  layout: ShardTableLayout,
  rows: readonly RowText[],
): Promise<void> {
  if (rows.length === 0) return;
  const values = unnested(rows, layout.columns.length, 1);
  const columns = layout.columns.map(({ name }) => quoted(name)).join(', ');
  const casts = layout.columns.map(({ type }, index) => `k.v${index}::${type}`).join(', ');
  await sql.query(
    `INSERT INTO ${layout.table} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${casts} FROM ${values.from}`,
    values.parameters,
  );
}

/** Deletes the rows of a bucket that have one of `keys`. */
export async function deleteRows(
  sql: SqlClient,
  layout: ShardTableLayout,
  bucket: number,
  keys: readonly KeyText[],
): Promise<void> {
  const values = unnested(keys, layout.primaryKey.length, 2);
  await sql.query(
    `DELETE FROM ${layout.table} t USING ${values.from} WHERE ${matches(layout)} AND ${inBucket(layout, '$1')}`,
    [bucket, ...values.parameters],
  );
}

/** Deletes every row of a bucket. */
export async function deleteBucket(
  sql: SqlClient,
  layouts: readonly ShardTableLayout[],
  bucket: number,
): Promise<void> {
  for (const layout of layouts)
    await sql.query(`DELETE FROM ${layout.table} t WHERE ${inBucket(layout, '$1')}`, [bucket]);
}

/** Number of rows and a sum over a SHA-256 of each, whatever their order. */
export interface BucketDigest {
  readonly rows: number;
  readonly sum: string;
}

/** {@link BucketDigest} of each table, in the order of `layouts`. */
export async function digestBucket(
  sql: SqlClient,
  layouts: readonly ShardTableLayout[],
  bucket: number,
): Promise<BucketDigest[]> {
  const digests: BucketDigest[] = [];
  for (const layout of layouts) {
    const digest = `sha256(convert_to(${textOf(layout)}::text, 'UTF8'))`;
    const [row] = await sql.query<BucketDigest>(
      `SELECT count(*)::int AS rows,
              coalesce(sum(('x' || encode(substr(${digest}, 1, 7), 'hex'))::bit(56)::bigint::numeric), 0)::text AS sum
       FROM ${layout.table} t WHERE ${inBucket(layout, '$1')}`,
      [bucket],
    );
    digests.push(row!);
  }
  return digests;
}

function matches(layout: ShardTableLayout): string {
  return layout.primaryKey
    .map(({ name, type }, index) => `t.${quoted(name)} = k.v${index}::${type}`)
    .join(' AND ');
}
