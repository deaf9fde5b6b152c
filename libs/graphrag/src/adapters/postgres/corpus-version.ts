import type { SqlClient, TenantId } from '@sparkle/contracts';
import { TenantUnknownError } from '../../errors.js';

/** One document that came to or left a tenant's corpus; its version is the corpus's right after. */
export interface CorpusChange {
  readonly version: number;
  readonly documentId: string;
  readonly kind: 'added' | 'removed';
}

/** @throws TenantUnknownError when the tenant is not registered. */
export async function readCorpusVersion(sql: SqlClient, tenantId: TenantId): Promise<number> {
  const [row] = await sql.query<{ version: string }>(
    'SELECT corpus_version AS version FROM tenants WHERE id = $1',
    [tenantId],
  );
  if (!row) throw new TenantUnknownError();
  return Number(row.version);
}

/** Reads the version and keeps it, and with it every published row, from changing until the transaction ends. */
export async function holdCorpusVersion(sql: SqlClient, tenantId: TenantId): Promise<number> {
  const [row] = await sql.query<{ version: string }>(
    'SELECT corpus_version AS version FROM tenants WHERE id = $1 FOR SHARE',
    [tenantId],
  );
  if (!row) throw new TenantUnknownError();
  return Number(row.version);
}

/** Moves the corpus one version per document and logs what happened to each. */
export async function recordChanges(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  kind: CorpusChange['kind'],
): Promise<void> {
  if (documentIds.length === 0) return;
  await sql.query(
    `WITH moved AS (
       UPDATE tenants SET corpus_version = corpus_version + $2 WHERE id = $1 RETURNING corpus_version)
     INSERT INTO graph_changes (tenant_id, version, document_id, kind)
     SELECT $1, moved.corpus_version - $2 + d.position, d.id, $4
     FROM moved, unnest($3::uuid[]) WITH ORDINALITY AS d(id, position)`,
    [tenantId, documentIds.length, documentIds, kind],
  );
}

/** What happened after version `since`, in order. */
export async function readChanges(
  sql: SqlClient,
  tenantId: TenantId,
  since: number,
): Promise<CorpusChange[]> {
  const rows = await sql.query<{ version: string; document_id: string; kind: CorpusChange['kind'] }>(
    'SELECT version, document_id, kind FROM graph_changes WHERE tenant_id = $1 AND version > $2 ORDER BY version',
    [tenantId, since],
  );
  return rows.map((row) => ({
    version: Number(row.version),
    documentId: row.document_id,
    kind: row.kind,
  }));
}

/** Whether a document left after version `since`. */
export async function hasRemovals(sql: SqlClient, tenantId: TenantId, since: number): Promise<boolean> {
  const rows = await sql.query(
    "SELECT 1 FROM graph_changes WHERE tenant_id = $1 AND version > $2 AND kind = 'removed' LIMIT 1",
    [tenantId, since],
  );
  return rows.length > 0;
}
