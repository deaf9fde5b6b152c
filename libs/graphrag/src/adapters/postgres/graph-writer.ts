import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { ExistingNames, ExistingNode, ResolvedGraph } from '../../ingest/resolve-entities.js';
import { weighEdges } from './graph-removal.js';

/** Nodes whose key or alias is one of `keys`. */
export async function readExistingNames(
  sql: SqlClient,
  tenantId: TenantId,
  keys: readonly string[],
): Promise<ExistingNames> {
  const aliases = await sql.query<{ alias_key: string; node_id: string }>(
    `SELECT DISTINCT alias_key, node_id FROM node_aliases WHERE tenant_id = $1 AND alias_key = ANY($2::text[])`,
    [tenantId, keys],
  );
  const columns = `id, key, name, type,
    (attributes->>'courseId') || '/' || (attributes->>'conceptId') AS "claimedBy"`;
  const nodes = await sql.query<ExistingNode>(
    `SELECT ${columns} FROM knowledge_nodes WHERE tenant_id = $1 AND key = ANY($2::text[])
     UNION
     SELECT ${columns} FROM knowledge_nodes WHERE tenant_id = $1 AND id = ANY($3::uuid[])`,
    [tenantId, keys, aliases.map((row) => row.node_id)],
  );
  return {
    nodes,
    aliases: aliases.map((row) => ({ aliasKey: row.alias_key, nodeId: row.node_id })),
  };
}

/** Keeps each statement well below the statement timeout, whatever a document holds. */
const ROWS_PER_STATEMENT = 10_000;

/** Writes a resolved graph: few statements per table, nothing twice. Needs the graph's lock. */
export async function writeGraph(sql: SqlClient, tenantId: TenantId, graph: ResolvedGraph): Promise<void> {
  const insert = async (rows: readonly object[], statement: string) => {
    for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT)
      await sql.query(statement, [tenantId, JSON.stringify(rows.slice(from, from + ROWS_PER_STATEMENT))]);
  };
  const nodeColumns = `n(id uuid, key text, name text, type text, description text, attributes jsonb)`;
  await insert(
    graph.newNodes,
    `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type, description, attributes)
     SELECT $1, n.* FROM jsonb_to_recordset($2::jsonb) AS ${nodeColumns}
     ON CONFLICT DO NOTHING`,
  );
  await insert(
    graph.changedNodes,
    // A node that no course claims keeps the description and attributes it has.
    `UPDATE knowledge_nodes k
     SET name = n.name, type = n.type, updated_at = now(),
       description = CASE WHEN n.attributes ? 'documentId' THEN n.description ELSE k.description END,
       attributes = CASE WHEN n.attributes ? 'documentId' THEN n.attributes ELSE k.attributes END
     FROM jsonb_to_recordset($2::jsonb) AS ${nodeColumns}
     WHERE k.tenant_id = $1 AND k.id = n.id`,
  );
  await insert(
    graph.aliases,
    `INSERT INTO node_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT $1, a."nodeId", a."aliasKey", a.alias, a."documentId"
     FROM jsonb_to_recordset($2::jsonb) AS a("nodeId" uuid, "aliasKey" text, alias text, "documentId" uuid)
     ON CONFLICT DO NOTHING`,
  );
  await insert(
    graph.edges,
    `INSERT INTO knowledge_edges AS k (tenant_id, id, source_id, target_id, type, attributes)
     SELECT $1, e.id, e."sourceId", e."targetId", e.type, e.attributes
     FROM jsonb_to_recordset($2::jsonb)
       AS e(id uuid, "sourceId" uuid, "targetId" uuid, type text, attributes jsonb)
     ON CONFLICT (tenant_id, source_id, target_id, type) DO UPDATE SET attributes = excluded.attributes
     WHERE excluded.attributes ? 'documentId' AND k.attributes IS DISTINCT FROM excluded.attributes`,
  );
  await insert(
    graph.mentions,
    `INSERT INTO node_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT $1, m."nodeId", m."chunkId", m."documentId", m.count
     FROM jsonb_to_recordset($2::jsonb)
       AS m("nodeId" uuid, "chunkId" uuid, "documentId" uuid, count integer)
     ON CONFLICT DO NOTHING`,
  );
  await insert(
    graph.evidence,
    `INSERT INTO edge_evidence (tenant_id, edge_id, chunk_id, document_id, statement, confidence)
     SELECT $1, v."edgeId", v."chunkId", v."documentId", v.statement, v.confidence
     FROM jsonb_to_recordset($2::jsonb)
       AS v("edgeId" uuid, "chunkId" uuid, "documentId" uuid, statement text, confidence real)
     ON CONFLICT DO NOTHING`,
  );
  await weighEdges(
    sql,
    tenantId,
    graph.edges.map((edge) => edge.id),
  );
}
