import type { SchemaMigration } from '@sparkle/contracts';
import { CacheOptionsInvalidError } from '../../errors.js';

/**
 * The table of {@link PgvectorSemanticStore}. Needs the extension `vector` and the role `sparkle_app`.
 * @param dimensions length of the question embeddings, 1–2000 (what HNSW can index)
 * @throws CacheOptionsInvalidError
 */
export function semanticCacheMigration(dimensions: number): SchemaMigration {
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > 2000)
    throw new CacheOptionsInvalidError(['dimensions: must be a whole number from 1 to 2000']);
  return {
    name: '0100-semantic-cache-entries',
    statements: [
      `CREATE TABLE semantic_cache_entries (
        tenant_id text NOT NULL,
        partition_digest text NOT NULL,
        canonical_hash text NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        question text NOT NULL,
        embedding vector(${dimensions}) NOT NULL,
        answer text,
        threshold real NOT NULL,
        document_ids text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, partition_digest, canonical_hash),
        UNIQUE (tenant_id, id)
      )`,
      `CREATE INDEX semantic_cache_entries_embedding ON semantic_cache_entries
        USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 200)`,
      'CREATE INDEX semantic_cache_entries_documents ON semantic_cache_entries USING gin (document_ids)',
      'CREATE INDEX semantic_cache_entries_expiry ON semantic_cache_entries (tenant_id, expires_at)',
      'ALTER TABLE semantic_cache_entries ENABLE ROW LEVEL SECURITY',
      'ALTER TABLE semantic_cache_entries FORCE ROW LEVEL SECURITY',
      `CREATE POLICY semantic_cache_entries_tenant ON semantic_cache_entries
        USING (tenant_id = current_setting('sparkle.tenant_id', true))
        WITH CHECK (tenant_id = current_setting('sparkle.tenant_id', true))`,
      'GRANT SELECT, INSERT, UPDATE, DELETE ON semantic_cache_entries TO sparkle_app',
    ],
  };
}

/**
 * Lets a purge find the answers made from a document by their index. Under row-level security an operator serves
 * as an index condition only when its function is marked leakproof; `@>` on arrays of text depends on its
 * arguments in nothing but its result. The mark is this database's alone and takes a superuser; without one,
 * purges stay right and read all of the tenant's answers.
 */
export const semanticCacheSearchMigration: SchemaMigration = {
  name: '0102-semantic-cache-search-under-row-security',
  statements: [
    `DO $$ BEGIN
  ALTER FUNCTION arraycontains(anyarray, anyarray) LEAKPROOF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'a superuser has to run: ALTER FUNCTION arraycontains(anyarray, anyarray) LEAKPROOF';
END $$`,
  ],
};

/**
 * What {@link PgvectorSemanticStore} remembers of purges, so that an answer made from a document that another
 * process purged meanwhile is not stored. Comes after {@link semanticCacheMigration}.
 */
export const semanticCachePurgesMigration: SchemaMigration = {
  name: '0101-semantic-cache-purges',
  statements: [
    'CREATE SEQUENCE semantic_cache_purge_marks',
    `CREATE TABLE semantic_cache_purges (
      tenant_id text NOT NULL,
      document_id text NOT NULL,
      mark bigint NOT NULL,
      expires_at timestamptz NOT NULL,
      PRIMARY KEY (tenant_id, document_id)
    )`,
    'CREATE INDEX semantic_cache_purges_mark ON semantic_cache_purges (tenant_id, mark)',
    'ALTER TABLE semantic_cache_purges ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE semantic_cache_purges FORCE ROW LEVEL SECURITY',
    `CREATE POLICY semantic_cache_purges_tenant ON semantic_cache_purges
      USING (tenant_id = current_setting('sparkle.tenant_id', true))
      WITH CHECK (tenant_id = current_setting('sparkle.tenant_id', true))`,
    'GRANT SELECT, INSERT, UPDATE, DELETE ON semantic_cache_purges TO sparkle_app',
    'GRANT USAGE ON SEQUENCE semantic_cache_purge_marks TO sparkle_app',
  ],
};
