import { randomBytes } from 'node:crypto';
import { parseTenantId, type SqlClient, type TenantDatabase, type TenantId } from '@sparkle/contracts';
import { SeededRandom, TcpProxy } from '@sparkle/contracts/testing';
import { Client, Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { PgvectorSemanticStore } from '../src/adapters/pgvector/pgvector-semantic.store.js';
import {
  semanticCacheMigration,
  semanticCachePurgesMigration,
} from '../src/adapters/pgvector/semantic-cache.migration.js';
import { CacheService } from '../src/core/cache.service.js';
import { SemanticCache, type SemanticScope } from '../src/semantic/semantic.cache.js';
import { CONTRACT_DIMENSIONS, semanticStoreContract } from '../src/testing/semantic-store.contract.js';
import { databaseUrl } from './required-services.js';

const name = `x_cache_${randomBytes(6).toString('hex')}`;
let admin: Client;
let pool: Pool;

/** One transaction per call, as the unprivileged role and with the tenant set. */
function databaseOn(connections: () => Pool): TenantDatabase {
  return {
    async withTenant<T>(tenantId: TenantId, work: (sql: SqlClient) => Promise<T>): Promise<T> {
      const client = await connections().connect();
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
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      } finally {
        client.release();
      }
    },
  };
}
const database = databaseOn(() => pool);

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
  for (const migration of [semanticCacheMigration(CONTRACT_DIMENSIONS), semanticCachePurgesMigration])
    for (const statement of migration.statements) await pool.query(statement);
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

  /** Fills partitions `p0` and `p1` of a tenant with `count` entries each, and `small` with ten. */
  async function fill(tenantId: TenantId, count: number): Promise<void> {
    await pool.query(
      `INSERT INTO semantic_cache_entries
        (tenant_id, partition_digest, canonical_hash, question, embedding, answer, threshold, document_ids, expires_at)
        SELECT $1, CASE WHEN n > 2 * $2::int THEN 'small' ELSE 'p' || (n % 2) END, 'h' || n, 'q' || n,
          ('[' || cos(n / 5000.0) || ',' || sin(n / 5000.0) || ',0,0,0,0,0,0]')::vector, '1', 0.9,
          ARRAY['d' || (n % 500)], now() + interval '1 day'
        FROM generate_series(1, 2 * $2::int + 10) AS n`,
      [tenantId, count],
    );
    await pool.query('ANALYZE semantic_cache_entries');
  }

  it('is searched through its vector index when a partition is large, and returns as many as asked for', async () => {
    const big = tenant();
    await fill(big, 3_000);
    const plans = await plansOf((store) => store.search({ tenantId: big, digest: 'p1' }, vector(0), 8));
    expect(plans.join('\n')).toContain('semantic_cache_entries_embedding');
    const found = await new PgvectorSemanticStore(database).search(
      { tenantId: big, digest: 'p1' },
      vector(0),
      100,
    );
    expect(found).toHaveLength(100);
    expect(found.every(({ question }) => Number(question.slice(1)) % 2 === 1)).toBe(true);
  });

  it('finds all of a small partition among thousands of nearer entries of others', async () => {
    const big = tenant();
    await fill(big, 3_000);
    const store = new PgvectorSemanticStore(database);
    expect(await store.search({ tenantId: big, digest: 'small' }, vector(0), 20)).toHaveLength(10);
  });

  it('is never read row by row', async () => {
    const big = tenant();
    await fill(big, 3_000);
    const large = { tenantId: big, digest: 'p1' };
    const entry = {
      question: 'q',
      canonicalHash: 'fresh',
      embedding: vector(7),
      answer: '1',
      threshold: 0.9,
      documentIds: ['d1'],
      ttlMs: 60_000,
      asOf: '0',
    };
    const [{ id } = { id: '' }] = await new PgvectorSemanticStore(database).search(large, vector(3), 1);
    const plans = await plansOf(async (store) => {
      await store.findExact(large, 'h1');
      await store.search(large, vector(0), 8);
      await store.search({ tenantId: big, digest: 'small' }, vector(0), 8);
      await store.search({ tenantId: big, digest: 'none' }, vector(0), 8);
      await store.purgeMark(big);
      await store.store(large, entry);
      await store.evictAndTighten(big, id, { by: 0.02, above: 0 }, 60_000);
      await store.purgeByDocument(big, 'd7');
      await store.removeExpired(big);
    });
    expect(plans.length).toBeGreaterThan(8);
    for (const plan of plans) expect(plan).not.toMatch(/Seq Scan on semantic_cache_entries/);
  });

  it('serves no entry of another scope in 2000 look-ups', async () => {
    const random = new SeededRandom(43);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next() * items.length)]!;
    const tenants = [tenant(), tenant(), tenant()];
    const digests = ['a', 'b', 'c', 'a:b'];
    const store = new PgvectorSemanticStore(database);
    for (const tenantId of tenants)
      for (const digest of digests.slice(0, 3))
        for (let index = 0; index < 20; index++)
          await store.store(
            { tenantId, digest },
            {
              question: `${tenantId} ${digest}`,
              canonicalHash: `h${index}`,
              embedding: vector(index),
              answer: '1',
              threshold: 0.9,
              documentIds: [],
              ttlMs: 60_000,
            },
          );
    const lane = async () => {
      for (let index = 0; index < 500; index++) {
        const partition = { tenantId: pick(tenants), digest: pick(digests) };
        const which = Math.floor(random.next() * 20);
        const found =
          index % 2 === 0
            ? await store.search(partition, vector(which), 8)
            : [await store.findExact(partition, `h${which}`)].flatMap((entry) => entry ?? []);
        for (const { question } of found) expect(question).toBe(`${partition.tenantId} ${partition.digest}`);
        expect(found.length > 0).toBe(partition.digest !== 'a:b');
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
  });
});

/** The plan of each statement that what `use` does sends. */
async function plansOf(use: (store: PgvectorSemanticStore) => Promise<unknown>): Promise<string[]> {
  const plans: string[] = [];
  await use(
    new PgvectorSemanticStore({
      withTenant: (tenantId, work) =>
        database.withTenant(tenantId, (sql) =>
          work({
            query: async <Row extends object>(text: string, parameters?: readonly unknown[]) => {
              const plan = await sql.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, parameters);
              plans.push(plan.map((row) => row['QUERY PLAN']).join('\n'));
              return sql.query<Row>(text, parameters);
            },
          }),
        ),
    }),
  );
  return plans;
}

describe('a semantic cache whose PostgreSQL stalls', () => {
  const scope: SemanticScope = {
    tenantId: tenant(),
    model: 'm',
    systemPromptHash: 's',
    toolsHash: 't',
    parametersHash: 'p',
    corpusVersion: 1,
  };
  const embedder = {
    id: 'constant',
    dimensions: CONTRACT_DIMENSIONS,
    embed: async () => {
      const vector = new Float32Array(CONTRACT_DIMENSIONS);
      vector[0] = 1;
      return vector;
    },
  };

  it('answers all the same, ends its background work, and serves again afterwards', async () => {
    const proxy = await TcpProxy.to(databaseUrl());
    const url = new URL(databaseUrl());
    url.pathname = `/${name}`;
    url.host = `127.0.0.1:${proxy.port}`;
    const proxied = new Pool({ connectionString: url.href, max: 2 });
    proxied.on('error', () => undefined);
    const cache = new CacheService({ store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() });
    const semantic = new SemanticCache(
      { cache, store: new PgvectorSemanticStore(databaseOn(() => proxied)), embedder },
      { searchBudgetMs: 150, storeBudgetMs: 150 },
    );
    try {
      await semantic.store({ scope, question: 'What is momentum?', answer: 'before' });
      proxy.stall();
      const loader = async () => ({ answer: 'fresh' });
      expect(await semantic.getOrAnswer('What is SGD?', scope, loader)).toEqual({
        cache: 'miss',
        answer: 'fresh',
      });
      await semantic.drain();
      // The exact tier does not need PostgreSQL.
      expect(await semantic.lookup({ scope, question: 'explain momentum' })).toMatchObject({
        answer: 'before',
      });
      proxy.resume();
      await vi.waitFor(
        async () => {
          await semantic.getOrAnswer('What is Adam?', scope, loader);
          await semantic.drain();
          const other = new SemanticCache({
            cache: new CacheService({ store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() }),
            store: new PgvectorSemanticStore(database),
            embedder,
          });
          expect(await other.lookup({ scope, question: 'Explain Adam' })).toMatchObject({ answer: 'fresh' });
        },
        { timeout: 10_000 },
      );
    } finally {
      proxy.resume();
      await proxied.end();
      await proxy.close();
      cache.close();
    }
  });
});
