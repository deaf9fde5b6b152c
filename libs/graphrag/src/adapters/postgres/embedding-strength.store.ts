import type { SchemaMigration, SqlClient, TenantId } from '@sparkle/contracts';
import { enableTenantIsolation } from '@sparkle/database';
import type { EmbeddingStrength } from '../../retrieve/embedding-strength.js';

/** How well an embedding model finds a tenant's own passages, against keywords; one row per model. */
export const embeddingStrengthMigration: SchemaMigration = {
  name: '0105-embedding-strength',
  statements: [
    `CREATE TABLE embedding_strengths (
      tenant_id text NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,
      model text NOT NULL,
      passages integer NOT NULL,
      samples integer NOT NULL,
      lexical_rank real NOT NULL,
      dense_rank real NOT NULL,
      measured_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (tenant_id, model)
    )`,
    ...enableTenantIsolation('embedding_strengths'),
  ],
};

/** The measurement for a model; `undefined` before the first one. */
export async function readEmbeddingStrength(
  sql: SqlClient,
  tenantId: TenantId,
  model: string,
): Promise<EmbeddingStrength | undefined> {
  const [row] = await sql.query<EmbeddingStrength>(
    `SELECT passages, samples, lexical_rank AS "lexicalRank", dense_rank AS "denseRank"
     FROM embedding_strengths WHERE tenant_id = $1 AND model = $2`,
    [tenantId, model],
  );
  return row;
}

export async function writeEmbeddingStrength(
  sql: SqlClient,
  tenantId: TenantId,
  model: string,
  { passages, samples, lexicalRank, denseRank }: EmbeddingStrength,
): Promise<void> {
  await sql.query(
    `INSERT INTO embedding_strengths AS s
       (tenant_id, model, passages, samples, lexical_rank, dense_rank)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (tenant_id, model) DO UPDATE SET passages = excluded.passages, samples = excluded.samples,
       lexical_rank = excluded.lexical_rank, dense_rank = excluded.dense_rank, measured_at = now()`,
    [tenantId, model, passages, samples, lexicalRank, denseRank],
  );
}

/** Published passages, counted up to `most`. */
export async function countPublished(sql: SqlClient, tenantId: TenantId, most: number): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM (
       SELECT 1 FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
       WHERE c.tenant_id = $1 AND d.state = 'ready' LIMIT $2) AS counted`,
    [tenantId, most],
  );
  return row!.count;
}

/** Published passages of any kind: ids are digests, so their order is as good as chance. */
export async function samplePassages(
  sql: SqlClient,
  tenantId: TenantId,
  count: number,
): Promise<{ id: string; text: string }[]> {
  return sql.query(
    `SELECT c.id, c.content AS text FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND d.state = 'ready' ORDER BY c.id LIMIT $2`,
    [tenantId, count],
  );
}
