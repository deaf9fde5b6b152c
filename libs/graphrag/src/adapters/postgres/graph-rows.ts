import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { ProjectedRows } from '../../resolve/project-origins.js';

/** Keeps each statement well below the statement timeout, whatever a document holds. */
const ROWS_PER_STATEMENT = 10_000;

/** Runs a statement with the tenant as `$1` and rows as JSON in `$2`, some at a time. */
export async function insertRows(
  sql: SqlClient,
  tenantId: TenantId,
  rows: readonly object[],
  statement: string,
): Promise<void> {
  for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT)
    await sql.query(statement, [tenantId, JSON.stringify(rows.slice(from, from + ROWS_PER_STATEMENT))]);
}

/** Writes aliases, edges, mentions and evidence that are not there yet. Their nodes must be. */
export async function insertGraphRows(
  sql: SqlClient,
  tenantId: TenantId,
  rows: ProjectedRows,
): Promise<void> {
  await insertRows(
    sql,
    tenantId,
    rows.aliases,
    `INSERT INTO node_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT $1, a."nodeId", a."aliasKey", a.alias, a."documentId"
     FROM jsonb_to_recordset($2::jsonb) AS a("nodeId" uuid, "aliasKey" text, alias text, "documentId" uuid)
     ON CONFLICT DO NOTHING`,
  );
  await insertRows(
    sql,
    tenantId,
    rows.edges,
    `INSERT INTO knowledge_edges AS k (tenant_id, id, source_id, target_id, type, attributes)
     SELECT $1, e.id, e."sourceId", e."targetId", e.type, e.attributes
     FROM jsonb_to_recordset($2::jsonb)
       AS e(id uuid, "sourceId" uuid, "targetId" uuid, type text, attributes jsonb)
     ON CONFLICT (tenant_id, source_id, target_id, type) DO UPDATE SET attributes = excluded.attributes
     WHERE excluded.attributes ? 'documentId' AND k.attributes IS DISTINCT FROM excluded.attributes`,
  );
  await insertRows(
    sql,
    tenantId,
    rows.mentions,
    `INSERT INTO node_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT $1, m."nodeId", m."chunkId", m."documentId", m.count
     FROM jsonb_to_recordset($2::jsonb)
       AS m("nodeId" uuid, "chunkId" uuid, "documentId" uuid, count integer)
     ON CONFLICT DO NOTHING`,
  );
  await insertRows(
    sql,
    tenantId,
    rows.evidence,
    `INSERT INTO edge_evidence (tenant_id, edge_id, chunk_id, document_id, statement, confidence)
     SELECT $1, v."edgeId", v."chunkId", v."documentId", v.statement, v.confidence
     FROM jsonb_to_recordset($2::jsonb)
       AS v("edgeId" uuid, "chunkId" uuid, "documentId" uuid, statement text, confidence real)
     ON CONFLICT DO NOTHING`,
  );
  await weighEdges(
    sql,
    tenantId,
    rows.edges.map((edge) => edge.id),
  );
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
