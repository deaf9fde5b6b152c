import type { SqlClient } from '@sparkle/contracts';
import type { Database } from '../core/database.service.js';
import { ShardNotPreparedError, ShardSetupInvalidError } from './errors.js';
import { CLAIMED_KEY_SETTING } from './shard-migrations.js';
import type { ShardPolicy } from './shard-policy.js';

/** A table whose rows live on the shard of their key. */
export interface ShardTable {
  readonly table: string;
  /** The column with the shard key, for example `tenant_id`. It must not be null. */
  readonly key: string;
}

/** A {@link ShardTable} as the database describes it. */
export interface ShardTableLayout extends ShardTable {
  /** Every column that is stored as given, with its type; generated ones are computed anew. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Columns of the primary key, in its order. */
  readonly primaryKey: readonly { readonly name: string; readonly type: string }[];
}

/** `shard_guard_` before a table's name still has to be an identifier. */
const TABLE_NAME = /^[a-z][a-z0-9_]{0,50}$/;
const COLUMN_NAME = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * The tables of a database that hold tenants' rows: every one with row-level security by
 * `enableTenantIsolation`, those of other libraries included, and `tenants`.
 */
export function tenantShardTables(database: Database): Promise<ShardTable[]> {
  return database.asSystem((tx) =>
    tx.query<{ table: string; key: string }>(
      `SELECT c.relname AS table,
              CASE WHEN EXISTS (SELECT FROM pg_attribute a
                                WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
                   THEN 'tenant_id' ELSE 'id' END AS key
       FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
       WHERE p.polname = 'tenant_isolation' AND c.relnamespace = current_schema()::regnamespace
         AND NOT c.relispartition
       ORDER BY c.relname`,
    ),
  );
}

/** A name from the database's own catalogue as an SQL identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** @throws ShardSetupInvalidError when a name is no plain identifier, or a table is listed twice. */
export function checkShardTables(tables: readonly ShardTable[]): void {
  if (tables.length === 0) throw new ShardSetupInvalidError('At least one table has to be sharded.');
  for (const { table, key } of tables)
    if (!TABLE_NAME.test(table) || !COLUMN_NAME.test(key))
      throw new ShardSetupInvalidError(
        'A sharded table is named by 1 to 51, its key column by 1 to 63 characters of a-z, 0-9 and "_", starting with a letter.',
      );
  if (new Set(tables.map(({ table }) => table)).size !== tables.length)
    throw new ShardSetupInvalidError('A sharded table may be listed only once.');
}

/**
 * Looks up columns and primary keys.
 * @throws ShardNotPreparedError when a table, its key column or its primary key is missing.
 */
export async function readLayouts(
  sql: SqlClient,
  shard: string,
  tables: readonly ShardTable[],
): Promise<ShardTableLayout[]> {
  const rows = await sql.query<{
    table: string;
    name: string;
    type: string;
    stored: boolean;
    position: number;
  }>(
    `SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
            a.attgenerated = '' AS stored,
            coalesce(array_position(i.indkey::int[], a.attnum::int), -1) AS position
     FROM pg_class c
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY($1)
     ORDER BY c.relname, a.attname`,
    [tables.map(({ table }) => table)],
  );
  return tables.map(({ table, key }) => {
    const own = rows.filter((row) => row.table === table);
    const columns = own.filter((row) => row.stored).map(({ name, type }) => ({ name, type }));
    const primaryKey = own
      .filter((row) => row.position >= 0)
      .sort((a, b) => a.position - b.position)
      .map(({ name, type }) => ({ name, type }));
    if (!columns.some(({ name }) => name === key))
      throw new ShardNotPreparedError(shard, `there is no column "${key}" in a table "${table}"`);
    if (primaryKey.length === 0)
      throw new ShardNotPreparedError(shard, `table "${table}" has no primary key`);
    return { table, key, columns, primaryKey };
  });
}

/**
 * Foreign keys must stay among the sharded tables: what they refer to has to move together.
 * @throws ShardNotPreparedError naming the first one that does not.
 */
export async function checkForeignKeys(
  sql: SqlClient,
  shard: string,
  tables: readonly ShardTable[],
): Promise<void> {
  const names = tables.map(({ table }) => table);
  const [open] = await sql.query<{ child: string; parent: string }>(
    `SELECT child.relname AS child, parent.relname AS parent
     FROM pg_constraint f
     JOIN pg_class child ON child.oid = f.conrelid
     JOIN pg_class parent ON parent.oid = f.confrelid
     WHERE f.contype = 'f' AND f.conparentid = 0 AND child.relnamespace = current_schema()::regnamespace
       AND (child.relname = ANY($1)) <> (parent.relname = ANY($1))
     LIMIT 1`,
    [names],
  );
  if (open)
    throw new ShardNotPreparedError(
      shard,
      `table "${open.child}" refers to "${open.parent}", and only one of them is sharded`,
    );
}

/**
 * Statements that make the triggers of sharded tables. A change of a row whose key the transaction has claimed
 * passes for the price of comparing a setting; every other one has its bucket held, is refused when the shard
 * does not own that, and is noted while it is leaving.
 */
export function guardStatements(policy: ShardPolicy, layouts: readonly ShardTableLayout[]): string[] {
  return [
    `CREATE OR REPLACE FUNCTION shard_bucket(key text) RETURNS integer
       LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT ${policy.bucketSql('key')} $$`,
    ...layouts.flatMap((layout) => tableGuard(layout)),
  ];
}

function tableGuard({ table, key, primaryKey }: ShardTableLayout): string[] {
  const identity = [key, ...primaryKey.map(({ name }) => name)];
  const note = (row: 'OLD' | 'NEW') =>
    `PERFORM shard_note('${table}', shard_bucket(${row}.${key}::text),
       ARRAY[${primaryKey.map(({ name }) => `${row}.${quoted(name)}::text`).join(', ')}]);`;
  const row = (name: 'OLD' | 'NEW') =>
    `ROW(${identity.map((column) => `${name}.${quoted(column)}`).join(', ')})`;
  const foreign = (name: 'OLD' | 'NEW') =>
    `current_setting('${CLAIMED_KEY_SETTING}', true) IS DISTINCT FROM ${name}.${key}::text`;
  const trigger = (event: 'INSERT' | 'UPDATE' | 'DELETE', condition: string) =>
    `CREATE OR REPLACE TRIGGER shard_guard_${event.toLowerCase()} AFTER ${event} ON ${table}
       FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION shard_guard_${table}()`;
  return [
    // Text of a timestamp must not depend on the writer's session.
    `CREATE OR REPLACE FUNCTION shard_guard_${table}() RETURNS trigger
       LANGUAGE plpgsql SECURITY DEFINER SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres'
       SET bytea_output = 'hex' AS $$
     BEGIN
       IF TG_OP <> 'INSERT' THEN
         ${note('OLD')}
       END IF;
       IF TG_OP = 'INSERT' THEN
         ${note('NEW')}
       ELSIF TG_OP = 'UPDATE' THEN
         IF ${row('OLD')} IS DISTINCT FROM ${row('NEW')} THEN
           ${note('NEW')}
         END IF;
       END IF;
       RETURN NULL;
     END $$`,
    `DO $$ BEGIN
       EXECUTE format('ALTER FUNCTION shard_guard_${table}() SET search_path = %I, pg_temp', current_schema());
     END $$`,
    trigger('INSERT', foreign('NEW')),
    trigger('UPDATE', `${foreign('OLD')} OR ${foreign('NEW')}`),
    trigger('DELETE', foreign('OLD')),
    `CREATE OR REPLACE TRIGGER shard_guard_truncate BEFORE TRUNCATE ON ${table}
       EXECUTE FUNCTION shard_refuse_truncate()`,
  ];
}

/** Names of `tables` that have no guard here. */
export async function unguardedTables(sql: SqlClient, tables: readonly ShardTable[]): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `SELECT name FROM unnest($1::text[]) AS name
     WHERE (SELECT count(*) FROM pg_trigger t
            WHERE t.tgrelid = to_regclass(name) AND t.tgname LIKE 'shard_guard_%' AND t.tgenabled <> 'D') < 4`,
    [tables.map(({ table }) => table)],
  );
  return rows.map(({ name }) => name);
}
