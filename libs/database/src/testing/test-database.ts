import { createHash, randomBytes } from 'node:crypto';
import {
  type Clock,
  parseTenantId,
  type Random,
  type SchemaMigration,
  type TenantId,
} from '@sparkle/contracts';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import type { Database } from '../core/database.service.js';
import { migrate, migrationChecksum } from '../core/migrate.js';
import { openDatabase } from '../core/open-database.js';
import { type DatabaseOptions, parseDatabaseOptions } from '../database.options.js';
import { DatabaseError } from '../errors.js';
import { databaseMigrations } from '../migrations/index.js';

/** The tests were started without a PostgreSQL to run on. */
export class TestDatabaseUrlMissingError extends DatabaseError {
  readonly code = 'TEST_DATABASE_URL_MISSING';

  constructor() {
    super(
      'TEST_DATABASE_URL is not set. Start the tests with "npm test", or point the variable at a PostgreSQL ' +
        'with pgvector whose role may create databases, e.g. postgres://postgres@127.0.0.1:5492/app.',
    );
  }
}

export interface TestDatabaseOptions {
  /** Migrations of other libraries, applied together with this library's own. */
  migrations?: readonly SchemaMigration[];
  /** Length of embeddings. Default 512. */
  dimensions?: number;
  /** Pool settings. Default: at most 10 connections. */
  pool?: DatabaseOptions['pool'];
  clock?: Clock;
  random?: Random;
}

/** A migrated database of a test's own. */
export interface TestDatabase {
  readonly database: Database;
  readonly dataSource: DataSource;
  readonly url: string;
  /** Inserts a tenant, which every other row refers to. */
  createTenant(name: string): Promise<TenantId>;
  /** Closes every connection and deletes the database. */
  drop(): Promise<void>;
}

/**
 * Makes a fresh, migrated database on the server of `TEST_DATABASE_URL`. The schema is built once per server
 * and set of migrations; every later call copies it, which takes a fraction of a second.
 * @throws TestDatabaseUrlMissingError when the variable is not set.
 */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const adminUrl = process.env.TEST_DATABASE_URL;
  if (!adminUrl) throw new TestDatabaseUrlMissingError();
  const migrations = [...databaseMigrations(options.dimensions ?? 512), ...(options.migrations ?? [])];
  const name = `sparkle_test_${randomBytes(8).toString('hex')}`;
  await withAdmin(adminUrl, async (admin) => {
    const template = await ensureTemplate(admin, adminUrl, migrations);
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  });
  const url = databaseUrl(adminUrl, name);
  const database = await openDatabase(
    parseDatabaseOptions({ url, pool: options.pool ?? { size: 1, overflow: 9 } }),
    { ...(options.clock && { clock: options.clock }), ...(options.random && { random: options.random }) },
  );
  return {
    database,
    dataSource: database.dataSource,
    url,
    createTenant: async (tenant) => {
      const id = parseTenantId(tenant);
      await database.asSystem((tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [id]));
      return id;
    },
    drop: async () => {
      await database.close();
      await withAdmin(adminUrl, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

/** Builds the template under another name first: one that a killed test run left half-made is never used. */
async function ensureTemplate(
  admin: pg.Client,
  adminUrl: string,
  migrations: readonly SchemaMigration[],
): Promise<string> {
  const digest = createHash('sha256')
    .update(migrations.map((migration) => `${migration.name} ${migrationChecksum(migration)}`).join('\n'))
    .digest('hex');
  const template = `sparkle_template_${digest.slice(0, 16)}`;
  const lock = BigInt.asIntN(64, BigInt(`0x${digest.slice(0, 16)}`)).toString();
  await admin.query('SELECT pg_advisory_lock($1)', [lock]);
  try {
    const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 0) {
      const draft = `${template}_draft`;
      await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${draft}`);
      await migrate(databaseUrl(adminUrl, draft), migrations);
      await admin.query(`ALTER DATABASE ${draft} RENAME TO ${template}`);
    }
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [lock]);
  }
  return template;
}

async function withAdmin<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}
