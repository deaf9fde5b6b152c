import { randomBytes } from 'node:crypto';
import { parseTenantId, type SqlClient, type TenantDatabase, type TenantId } from '@sparkle/contracts';
import { Client, Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PgvectorSemanticStore } from '../src/adapters/pgvector/pgvector-semantic.store.js';
import { semanticCacheMigration } from '../src/adapters/pgvector/semantic-cache.migration.js';
import { CONTRACT_DIMENSIONS, semanticStoreContract } from '../src/testing/semantic-store.contract.js';
import { databaseUrl } from './required-services.js';

const name = `x_cache_${randomBytes(6).toString('hex')}`;
let admin: Client;
let pool: Pool;

/** One transaction per call, as the unprivileged role and with the tenant set. */
const database: TenantDatabase = {
  async withTenant<T>(tenantId: TenantId, work: (sql: SqlClient) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SET LOCAL ROLE sparkle_app');
      await client.query("SELECT set_config('sparkle.tenant_id', $1, true)", [tenantId]);
      const result = await work({
        query: async <Row extends object>(text: string, parameters?: readonly unknown[]) =>
          (await client.query(text, parameters as unknown[])).rows as Row[],
      });
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  },
};

beforeAll(async () => {
  admin = new Client(databaseUrl());
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  // Roles belong to the whole server; another suite may be creating it too.
  await admin.query(`DO $$ BEGIN CREATE ROLE sparkle_app NOLOGIN; EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
  const url = new URL(databaseUrl());
  url.pathname = `/${name}`;
  pool = new Pool({ connectionString: url.href, max: 4 });
  await pool.query('CREATE EXTENSION IF NOT EXISTS vector');
  await pool.query('GRANT USAGE ON SCHEMA public TO sparkle_app');
  for (const statement of semanticCacheMigration(CONTRACT_DIMENSIONS).statements) await pool.query(statement);
});

afterAll(async () => {
  await pool?.end();
  // The pool is done before the server is: dropping by force would cut connections that are still closing.
  await vi.waitFor(() => admin?.query(`DROP DATABASE IF EXISTS ${name}`), { timeout: 10_000 });
  await admin?.end();
});

const tenant = () => parseTenantId(`t${randomBytes(6).toString('hex')}`);

semanticStoreContract('pgvector', async () => ({
  store: new PgvectorSemanticStore(database),
  tenants: [tenant(), tenant()],
  // The database's clock cannot be set; every life ends that much sooner instead.
  advance: async (ms) => {
    await pool.query(
      "UPDATE semantic_cache_entries SET expires_at = expires_at - $1 * interval '1 millisecond'",
      [ms],
    );
  },
}));

describe('semantic_cache_entries', () => {
  const vector = (index: number) => {
    const angle = index / 1000;
    const embedding = new Float32Array(CONTRACT_DIMENSIONS);
    embedding[0] = Math.cos(angle);
    embedding[1] = Math.sin(angle);
    return embedding;
  };

  it('shows a tenant no row of another, even without a condition', async () => {
    const [mine, other] = [tenant(), tenant()];
    const store = new PgvectorSemanticStore(database);
    for (const tenantId of [mine, other])
      await store.store(
        { tenantId, digest: 'p' },
        {
          question: 'q',
          canonicalHash: 'h',
          embedding: vector(0),
          answer: '1',
          threshold: 0.9,
          documentIds: [],
          ttlMs: 60_000,
        },
      );
    const rows = await database.withTenant(mine, (sql) =>
      sql.query<{ tenant_id: string }>('SELECT DISTINCT tenant_id FROM semantic_cache_entries'),
    );
    expect(rows).toEqual([{ tenant_id: mine }]);
    await expect(
      database.withTenant(mine, (sql) =>
        sql.query("UPDATE semantic_cache_entries SET tenant_id = 'globex' WHERE tenant_id = $1", [mine]),
      ),
    ).rejects.toThrow('row-level security');
  });

  it('is searched through its vector index when a partition is large, and returns as many as asked for', async () => {
    const big = tenant();
    await pool.query(
      `INSERT INTO semantic_cache_entries
        (tenant_id, partition_digest, canonical_hash, question, embedding, answer, threshold, expires_at)
        SELECT $1, 'p' || (n % 2), 'h' || n, 'q' || n,
          ('[' || cos(n / 5000.0) || ',' || sin(n / 5000.0) || ',0,0,0,0,0,0]')::vector, '1', 0.9, now() + interval '1 day'
        FROM generate_series(1, 5000) AS n`,
      [big],
    );
    await pool.query('ANALYZE semantic_cache_entries');
    const plan = await database.withTenant(big, async (sql) => {
      await sql.query("SELECT set_config('hnsw.iterative_scan', 'strict_order', true)");
      return sql.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN SELECT id FROM semantic_cache_entries WHERE tenant_id = $1 AND partition_digest = 'p1'
          AND answer IS NOT NULL AND expires_at > now()
          ORDER BY embedding <=> '[1,0,0,0,0,0,0,0]'::vector LIMIT 8`,
        [big],
      );
    });
    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain('semantic_cache_entries_embedding');
    const found = await new PgvectorSemanticStore(database).search(
      { tenantId: big, digest: 'p1' },
      vector(0),
      100,
    );
    expect(found).toHaveLength(100);
    expect(found.every(({ question }) => Number(question.slice(1)) % 2 === 1)).toBe(true);
  });
});
