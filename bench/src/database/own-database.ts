import { randomBytes } from 'node:crypto';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import {
  type Database,
  databaseMigrations,
  migrate,
  openDatabase,
  parseDatabaseOptions,
} from '@sparkle/database';
import { graphragMigrations } from '@sparkle/graphrag';
import pg from 'pg';

export const DIMENSIONS = 512;

/** A migrated database of one part's own. */
export interface BenchTarget {
  readonly database: Database;
  readonly url: string;
  /** Runs statements as superuser on one connection, with memory for index builds and no time limit. */
  prepare<T>(work: (client: pg.Client) => Promise<T>): Promise<T>;
  tenant(name: string): Promise<TenantId>;
}

/** Hands a fresh database on the server at `serverUrl` to `work`, and drops it afterwards. */
export async function withBenchDatabase<T>(
  serverUrl: string,
  work: (target: BenchTarget) => Promise<T>,
): Promise<T> {
  const name = `bench_database_${randomBytes(6).toString('hex')}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await onConnection(serverUrl, (client) => client.query(`CREATE DATABASE ${name}`));
  try {
    await migrate(url.href, [...databaseMigrations(DIMENSIONS), ...graphragMigrations]);
    const database = await openDatabase(parseDatabaseOptions({ url: url.href }));
    try {
      return await work({
        database,
        url: url.href,
        prepare: (work) =>
          onConnection(url.href, async (client) => {
            await client.query("SET maintenance_work_mem = '1GB'");
            await client.query('SET max_parallel_maintenance_workers = 2');
            return work(client);
          }),
        tenant: async (tenant) => {
          const id = parseTenantId(tenant);
          await database.asSystem((tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1)', [id]));
          return id;
        },
      });
    } finally {
      await database.close();
    }
  } finally {
    await onConnection(serverUrl, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  }
}

async function onConnection<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
