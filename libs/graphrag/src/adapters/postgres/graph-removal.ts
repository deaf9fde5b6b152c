import type { SqlClient, TenantId } from '@sparkle/contracts';
import { DocumentDeletedError } from '../../errors.js';
import { recordChanges } from './corpus-version.js';
import { lockGraph } from './graph-lock.js';
import { weighEdges } from './graph-rows.js';
import { forgetEmbeddings, removeUnstated } from './node-removal.js';
import { forgetDecisionsOf, reprojectNodes } from './resolution.store.js';

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
     SELECT node_id FROM mention UNION SELECT node_id FROM alias
     UNION SELECT node_id FROM origin_mentions WHERE tenant_id = $1 AND document_id = $2`,
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
  await removeUnstated(sql, tenantId, nodeIds);
  await forgetEmbeddings(sql, tenantId, nodeIds);
  await sql.query(
    `UPDATE knowledge_nodes SET attributes = '{}', description = NULL, updated_at = now()
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND attributes->>'documentId' = $3`,
    [tenantId, nodeIds, documentId],
  );
  const undecided = await forgetDecisionsOf(sql, tenantId, documentId);
  if (undecided.length > 0) await reprojectNodes(sql, tenantId, undecided);
  if (document.state === 'ready') await recordChanges(sql, tenantId, [documentId], 'removed');
  return true;
}
