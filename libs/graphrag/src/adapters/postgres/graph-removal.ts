import type { SqlClient, TenantId } from '@sparkle/contracts';
import { DocumentDeletedError } from '../../errors.js';
import { recordChanges } from './corpus-version.js';
import { lockGraph } from './graph-lock.js';

/**
 * Removes a document and whatever of the graph only it stated. Jobs come before the document, as in every
 * ingestion step, so the two cannot deadlock; an ingestion under way finds its job ended and writes nothing.
 * @returns false when there is no such document.
 */
export async function removeDocument(
  sql: SqlClient,
  tenantId: TenantId,
  documentId: string,
): Promise<boolean> {
  await lockGraph(sql, tenantId);
  const deleted = new DocumentDeletedError();
  await sql.query(
    `UPDATE jobs SET state = 'failed', error = $3, finished_at = now(), updated_at = now()
     WHERE tenant_id = $1 AND subject_id = $2 AND state IN ('queued', 'running')`,
    [tenantId, documentId, JSON.stringify({ code: deleted.code, message: deleted.message })],
  );
  await sql.query(`UPDATE jobs SET payload = '{}' WHERE tenant_id = $1 AND subject_id = $2`, [
    tenantId,
    documentId,
  ]);
  const [document] = await sql.query<{ state: string }>(
    'SELECT state FROM documents WHERE tenant_id = $1 AND id = $2 FOR UPDATE',
    [tenantId, documentId],
  );
  if (!document) return false;

  const edges = await sql.query<{ edge_id: string }>(
    `WITH gone AS (DELETE FROM edge_evidence WHERE tenant_id = $1 AND document_id = $2 RETURNING edge_id)
     SELECT DISTINCT edge_id FROM gone`,
    [tenantId, documentId],
  );
  const nodes = await sql.query<{ node_id: string }>(
    `WITH mention AS (DELETE FROM node_mentions WHERE tenant_id = $1 AND document_id = $2 RETURNING node_id),
     alias AS (DELETE FROM node_aliases WHERE tenant_id = $1 AND document_id = $2 RETURNING node_id)
     SELECT node_id FROM mention UNION SELECT node_id FROM alias`,
    [tenantId, documentId],
  );
  await sql.query('DELETE FROM documents WHERE tenant_id = $1 AND id = $2', [tenantId, documentId]);

  const edgeIds = edges.map((row) => row.edge_id);
  await sql.query(
    `DELETE FROM knowledge_edges e
     WHERE e.tenant_id = $1 AND e.id = ANY($2::uuid[])
       AND NOT EXISTS (SELECT 1 FROM edge_evidence v WHERE v.tenant_id = $1 AND v.edge_id = e.id)`,
    [tenantId, edgeIds],
  );
  await weighEdges(sql, tenantId, edgeIds);
  await sql.query(
    `UPDATE knowledge_edges SET attributes = '{}'
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND attributes->>'documentId' = $3`,
    [tenantId, edgeIds, documentId],
  );
  const nodeIds = nodes.map((row) => row.node_id);
  await sql.query(
    `DELETE FROM knowledge_nodes n
     WHERE n.tenant_id = $1 AND n.id = ANY($2::uuid[])
       AND NOT EXISTS (SELECT 1 FROM node_mentions m WHERE m.tenant_id = $1 AND m.node_id = n.id)
       AND NOT EXISTS (SELECT 1 FROM knowledge_edges e WHERE e.tenant_id = $1 AND e.source_id = n.id)
       AND NOT EXISTS (SELECT 1 FROM knowledge_edges e WHERE e.tenant_id = $1 AND e.target_id = n.id)`,
    [tenantId, nodeIds],
  );
  await sql.query(
    `UPDATE knowledge_nodes SET attributes = '{}', description = NULL, updated_at = now()
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND attributes->>'documentId' = $3`,
    [tenantId, nodeIds, documentId],
  );
  if (document.state === 'ready') await recordChanges(sql, tenantId, [documentId], 'removed');
  return true;
}

/** An edge is as strong as its evidence: weight counts the passages, confidence is the best one's. */
export async function weighEdges(
  sql: SqlClient,
  tenantId: TenantId,
  edgeIds: readonly string[],
): Promise<void> {
  if (edgeIds.length === 0) return;
  await sql.query(
    `UPDATE knowledge_edges e SET weight = s.weight, confidence = s.confidence
     FROM (SELECT edge_id, count(*)::real AS weight, max(confidence) AS confidence FROM edge_evidence
           WHERE tenant_id = $1 AND edge_id = ANY($2::uuid[]) GROUP BY edge_id) s
     WHERE e.tenant_id = $1 AND e.id = s.edge_id
       AND (e.weight, e.confidence) IS DISTINCT FROM (s.weight, s.confidence)`,
    [tenantId, edgeIds],
  );
}
