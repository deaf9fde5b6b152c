import { createHash } from 'node:crypto';
import type { SchemaMigration } from '@sparkle/contracts';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import {
  EmbeddingDimensionsMismatchError,
  MigrationChangedError,
  MigrationFailedError,
  MigrationListInvalidError,
} from '../errors.js';
import { toUnreachableError } from './connection-failure.js';

/** Advisory lock that serialises migrations of one database; "sparkle" in hexadecimal. */
const MIGRATION_LOCK = BigInt('0x737061726b6c65').toString();

const VECTOR_TYPE = /\bvector\((\d+)\)/g;

/** SHA-256 over a migration's statements. */
export function migrationChecksum(migration: SchemaMigration): string {
  return createHash('sha256').update(JSON.stringify(migration.statements)).digest('hex');
}

/**
 * Brings a schema up to date and returns the names of the migrations applied by this call.
 *
 * Each migration runs in one transaction together with its record in `schema_migrations`, under an advisory
 * lock taken inside that transaction. Any number of processes may migrate at once: each migration is applied
 * by exactly one of them. The record is looked up again under the lock, so this holds on PGlite as well,
 * where advisory locks exclude nobody but a transaction has the only session to itself.
 *
 * @param target URL of the database, or an initialised data source.
 * @throws MigrationListInvalidError when two migrations share a name.
 * @throws MigrationChangedError when an applied migration has other statements now.
 * @throws EmbeddingDimensionsMismatchError when it differs only in the length of its vectors.
 * @throws MigrationFailedError when a statement fails; earlier migrations stay applied.
 * @throws DatabaseUnreachableError when `target` is a URL that cannot be connected to.
 */
export async function migrate(
  target: string | DataSource,
  migrations: readonly SchemaMigration[],
): Promise<string[]> {
  const ordered = [...migrations].sort((a, b) => (a.name < b.name ? -1 : 1));
  const duplicate = ordered.find((migration, index) => migration.name === ordered[index + 1]?.name);
  if (duplicate) throw new MigrationListInvalidError(`Two migrations are named "${duplicate.name}".`);

  if (typeof target !== 'string') {
    const runner = target.createQueryRunner();
    try {
      return await applyAll((await runner.connect()) as pg.ClientBase, ordered);
    } finally {
      await runner.release();
    }
  }
  const client = new pg.Client({ connectionString: target, application_name: 'sparkle-migrate' });
  // A connection lost between two statements fails the next one; without a listener it would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw toUnreachableError(target, error);
  }
  try {
    return await applyAll(client, ordered);
  } finally {
    await client.end();
  }
}

async function applyAll(client: pg.ClientBase, migrations: readonly SchemaMigration[]): Promise<string[]> {
  await inLockedTransaction(client, 'schema_migrations', () =>
    client.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
      name text PRIMARY KEY,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`),
  );
  const applied: string[] = [];
  for (const migration of migrations) {
    const checksum = migrationChecksum(migration);
    await inLockedTransaction(client, migration.name, async () => {
      const recorded = await client.query<{ checksum: string }>(
        'SELECT checksum FROM schema_migrations WHERE name = $1',
        [migration.name],
      );
      const earlier = recorded.rows[0];
      if (earlier) {
        if (earlier.checksum !== checksum) throw await explainChange(client, migration, earlier.checksum);
        return;
      }
      for (const statement of migration.statements) await client.query(statement);
      await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [
        migration.name,
        checksum,
      ]);
      applied.push(migration.name);
    });
  }
  return applied;
}

async function inLockedTransaction(
  client: pg.ClientBase,
  migration: string,
  work: () => Promise<unknown>,
): Promise<void> {
  await client.query('BEGIN');
  try {
    // Building an index, or waiting for another process to build it, takes longer than a request may.
    await client.query("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = 'warning'");
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await work();
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    if (error instanceof MigrationChangedError || error instanceof EmbeddingDimensionsMismatchError)
      throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MigrationFailedError(migration, reason, { cause: error });
  }
}

/** A schema made for another embedding model is a configuration mistake, not an edited migration. */
async function explainChange(
  client: pg.ClientBase,
  migration: SchemaMigration,
  recordedChecksum: string,
): Promise<Error> {
  const requested = Number(
    [...migration.statements.join('\n').matchAll(VECTOR_TYPE)].map((match) => match[1])[0] ?? 0,
  );
  const { rows } = await client.query<{ dimensions: number }>(
    `SELECT DISTINCT atttypmod AS dimensions FROM pg_attribute
     WHERE atttypid = to_regtype('vector') AND atttypmod > 0 AND NOT attisdropped`,
  );
  for (const { dimensions } of rows) {
    const statements = migration.statements.map((text) => text.replace(VECTOR_TYPE, `vector(${dimensions})`));
    if (migrationChecksum({ ...migration, statements }) === recordedChecksum)
      return new EmbeddingDimensionsMismatchError(dimensions, requested);
  }
  return new MigrationChangedError(migration.name);
}
