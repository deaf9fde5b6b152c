import type { SqlClient, TenantId } from '@sparkle/contracts';
import type {
  ExistingNames,
  ExistingNode,
  ResolvedGraph,
  RuleDecision,
} from '../../resolve/resolve-entities.js';
import { insertGraphRows, insertRows } from './graph-rows.js';
import { forgetEmbeddings } from './node-removal.js';
import {
  findRuleResolution,
  inheritAssignments,
  insertAssignments,
  insertResolution,
  projectDocuments,
  readSplits,
  readTracked,
  reprojectNodes,
  trackNodes,
} from './resolution.store.js';

/** Nodes whose key or alias is one of `keys`, as documents state them, and what was decided about them. */
export async function readExistingNames(
  sql: SqlClient,
  tenantId: TenantId,
  keys: readonly string[],
): Promise<ExistingNames> {
  const aliases = await sql.query<{ alias_key: string; node_id: string }>(
    `SELECT alias_key, node_id FROM node_aliases a
     WHERE a.tenant_id = $1 AND a.alias_key = ANY($2::text[])
       AND NOT EXISTS (SELECT 1 FROM tracked_entities t WHERE t.tenant_id = $1 AND t.node_id = a.node_id)
     UNION
     SELECT alias_key, node_id FROM origin_aliases WHERE tenant_id = $1 AND alias_key = ANY($2::text[])`,
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
    ...(await readSplits(
      sql,
      tenantId,
      nodes.map(({ id }) => id),
    )),
  };
}

/**
 * Writes a resolved graph: few statements per table, nothing twice. What it states of nodes that decisions speak
 * of is kept as it is and shown as the decisions make it. Needs the graph's lock.
 */
export async function writeGraph(sql: SqlClient, tenantId: TenantId, graph: ResolvedGraph): Promise<void> {
  const nodeColumns = `n(id uuid, key text, name text, type text, description text, attributes jsonb)`;
  await insertRows(
    sql,
    tenantId,
    graph.newNodes,
    `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type, description, attributes)
     SELECT $1, n.* FROM jsonb_to_recordset($2::jsonb) AS ${nodeColumns}
     ON CONFLICT DO NOTHING`,
  );
  await insertRows(
    sql,
    tenantId,
    graph.changedNodes,
    // A node that no course claims keeps the description and attributes it has.
    `UPDATE knowledge_nodes k
     SET name = n.name, type = n.type, updated_at = now(),
       description = CASE WHEN n.attributes ? 'documentId' THEN n.description ELSE k.description END,
       attributes = CASE WHEN n.attributes ? 'documentId' THEN n.attributes ELSE k.attributes END
     FROM jsonb_to_recordset($2::jsonb) AS ${nodeColumns}
     WHERE k.tenant_id = $1 AND k.id = n.id`,
  );
  const documentIds = [...new Set(graph.mentions.map(({ documentId }) => documentId))];
  await inheritAssignments(sql, tenantId, documentIds);
  const touched = new Set(graph.mentions.map(({ nodeId }) => nodeId));
  for (const { nodeId } of graph.aliases) touched.add(nodeId);
  for (const { sourceId, targetId } of graph.edges) touched.add(sourceId).add(targetId);
  const tracked = await readTracked(sql, tenantId, [...touched]);
  await insertGraphRows(sql, tenantId, tracked.size === 0 ? graph : withoutTracked(graph, tracked));
  if (tracked.size > 0) {
    await insertOrigins(sql, tenantId, graph, tracked);
    await projectDocuments(sql, tenantId, documentIds);
  }
  await decide(sql, tenantId, graph.decisions);
}

function withoutTracked(
  graph: ResolvedGraph,
  tracked: ReadonlySet<string>,
): Pick<ResolvedGraph, 'mentions' | 'aliases' | 'edges' | 'evidence'> {
  const edges = graph.edges.filter(
    ({ sourceId, targetId }) => !tracked.has(sourceId) && !tracked.has(targetId),
  );
  const kept = new Set(edges.map(({ id }) => id));
  return {
    mentions: graph.mentions.filter(({ nodeId }) => !tracked.has(nodeId)),
    aliases: graph.aliases.filter(({ nodeId }) => !tracked.has(nodeId)),
    edges,
    evidence: graph.evidence.filter(({ edgeId }) => kept.has(edgeId)),
  };
}

async function insertOrigins(
  sql: SqlClient,
  tenantId: TenantId,
  graph: ResolvedGraph,
  tracked: ReadonlySet<string>,
): Promise<void> {
  await insertRows(
    sql,
    tenantId,
    graph.mentions.filter(({ nodeId }) => tracked.has(nodeId)),
    `INSERT INTO origin_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT $1, m."nodeId", m."chunkId", m."documentId", m.count
     FROM jsonb_to_recordset($2::jsonb)
       AS m("nodeId" uuid, "chunkId" uuid, "documentId" uuid, count integer)
     ON CONFLICT DO NOTHING`,
  );
  await insertRows(
    sql,
    tenantId,
    graph.aliases.filter(({ nodeId }) => tracked.has(nodeId)),
    `INSERT INTO origin_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT $1, a."nodeId", a."aliasKey", a.alias, a."documentId"
     FROM jsonb_to_recordset($2::jsonb) AS a("nodeId" uuid, "aliasKey" text, alias text, "documentId" uuid)
     ON CONFLICT DO NOTHING`,
  );
  const edges = new Map(
    graph.edges
      .filter(({ sourceId, targetId }) => tracked.has(sourceId) || tracked.has(targetId))
      .map((edge) => [edge.id, edge]),
  );
  await insertRows(
    sql,
    tenantId,
    graph.evidence.flatMap((row) => {
      const edge = edges.get(row.edgeId);
      if (!edge) return [];
      const { sourceId, targetId, type } = edge;
      const attributes = edge.attributes.documentId === row.documentId ? edge.attributes : {};
      return [{ ...row, sourceId, targetId, type, attributes }];
    }),
    `INSERT INTO origin_evidence
       (tenant_id, source_id, target_id, type, chunk_id, document_id, statement, confidence, attributes)
     SELECT $1, v."sourceId", v."targetId", v.type, v."chunkId", v."documentId", v.statement, v.confidence,
       v.attributes
     FROM jsonb_to_recordset($2::jsonb)
       AS v("sourceId" uuid, "targetId" uuid, type text, "chunkId" uuid, "documentId" uuid, statement text,
         confidence real, attributes jsonb)
     ON CONFLICT DO NOTHING`,
  );
}

/** Takes the decisions that documents gave reason for, each once for a pair of nodes. */
async function decide(sql: SqlClient, tenantId: TenantId, decisions: readonly RuleDecision[]): Promise<void> {
  const concerned = new Set<string>();
  for (const { kind, nodeId, target, documentId, reason } of decisions) {
    await trackNodes(sql, tenantId, [nodeId, target.id]);
    const resolutionId =
      (await findRuleResolution(sql, tenantId, kind, nodeId, target.id)) ??
      (await insertResolution(sql, tenantId, {
        kind,
        actor: kind === 'merge' ? 'rule:acronym' : 'rule:homonym',
        reason,
        sourceIds: [nodeId],
        target,
      }));
    await insertAssignments(sql, tenantId, resolutionId, [
      {
        nodeId,
        documentId: kind === 'merge' ? null : documentId,
        targetId: target.id,
        becauseOf: documentId,
      },
    ]);
    concerned.add(nodeId).add(target.id);
  }
  if (concerned.size === 0) return;
  await forgetEmbeddings(sql, tenantId, [...concerned]);
  await reprojectNodes(sql, tenantId, [...concerned]);
}
