import { randomBytes } from 'node:crypto';
import { semanticCacheMigration, semanticCachePurgesMigration } from '@sparkle/cache';
import type { SqlClient, TenantDatabase } from '@sparkle/contracts';
import { Client, Pool } from 'pg';

export interface BenchDatabase extends TenantDatabase {
  /** Runs a statement as the owner of the tables. */
  run(statement: string, parameters?: readonly unknown[]): Promise<void>;
  /** Builds what {@link openBenchDatabase} left out. */
  buildVectorIndex(): Promise<void>;
  /** Drops the database. */
  close(): Promise<void>;
}

/** A database of its own on the server at `url`, with the semantic cache's tables, as yet without vector index. */
export async function openBenchDatabase(url: string, dimensions: number): Promise<BenchDatabase> {
  const name = `bench_semantic_${randomBytes(6).toString('hex')}`;
  const admin = new Client(url);
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.query(`DO $$ BEGIN CREATE ROLE sparkle_app NOLOGIN; EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const pool = new Pool({ connectionString: own.href, max: 4 });
  // Idle connections are cut when the database is dropped.
  pool.on('error', () => undefined);
  const run = async (statement: string, parameters: readonly unknown[] = []) => {
    await pool.query(statement, [...parameters]);
  };
  await run('CREATE EXTENSION IF NOT EXISTS vector');
  await run('GRANT USAGE ON SCHEMA public TO sparkle_app');
  const statements = [semanticCacheMigration(dimensions), semanticCachePurgesMigration].flatMap(
    (migration) => migration.statements,
  );
  const isVectorIndex = (statement: string) => statement.includes('USING hnsw');
  for (const statement of statements) if (!isVectorIndex(statement)) await run(statement);
  return {
    run,
    async buildVectorIndex() {
      const client = await pool.connect();
      try {
        // Without room for the whole graph, building takes several times as long.
        await client.query("SET maintenance_work_mem = '1GB'");
        await client.query('SET max_parallel_maintenance_workers = 2');
        for (const statement of statements.filter(isVectorIndex)) await client.query(statement);
        await client.query('ANALYZE semantic_cache_entries');
      } finally {
        client.release(true);
      }
    },
    async withTenant(tenantId, work) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await client.query('SET LOCAL ROLE sparkle_app');
        await client.query("SELECT set_config('sparkle.tenant_id', $1, true)", [tenantId]);
        const sql: SqlClient = {
          query: async <Row extends object>(text: string, parameters?: readonly unknown[]) =>
            (await client.query(text, parameters as unknown[])).rows as Row[],
        };
        const result = await work(sql);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
    async close() {
      await pool.end();
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await admin.end();
    },
  };
}
