import type { SqlClient, TenantId } from '@sparkle/contracts';
import { TenantUnknownError } from '../../errors.js';
import { makeSearchTerms } from './search-terms.store.js';

/**
 * One document that came to or left a tenant's corpus, or whose part of the graph was rewritten; its version is the
 * corpus's right after.
 */
export interface CorpusChange {
  readonly version: number;
  readonly documentId: string;
  readonly kind: 'added' | 'removed' | 'changed';
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

/**
 * Moves the corpus one version per document, logs what happened to each, and makes search terms that published
 * rows lack by now.
 */
export async function recordChanges(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  kind: CorpusChange['kind'],
): Promise<void> {
  if (documentIds.length === 0) return;
  await makeSearchTerms(sql, tenantId);
  await sql.query(
    `WITH moved AS (
       UPDATE tenants SET corpus_version = corpus_version + $2 WHERE id = $1 RETURNING corpus_version)
     INSERT INTO graph_changes (tenant_id, version, document_id, kind)
     SELECT $1, moved.corpus_version - $2 + d.position, d.id, $4
     FROM moved, unnest($3::uuid[]) WITH ORDINALITY AS d(id, position)`,
    [tenantId, documentIds.length, documentIds, kind],
  );
}

/** Whether anything else than new documents happened after version `since`. */
export async function hasRevisions(sql: SqlClient, tenantId: TenantId, since: number): Promise<boolean> {
  const rows = await sql.query(
    "SELECT 1 FROM graph_changes WHERE tenant_id = $1 AND version > $2 AND kind <> 'added' LIMIT 1",
    [tenantId, since],
  );
  return rows.length > 0;
}
