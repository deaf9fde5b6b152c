import type { SqlClient, TenantId } from '@sparkle/contracts';
import type {
  SnapshotChunk,
  SnapshotEdge,
  SnapshotEvidence,
  SnapshotMention,
  SnapshotNode,
  SnapshotRows,
} from '../../model.js';

/** Statements see rows of these documents only: documents on their way in or out are not part of the graph. */
const PUBLISHED = `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready'`;

/**
 * Everything published of a tenant's graph, or the part that `documentIds` state: their passages, mentions and
 * evidence with the nodes and edges these touch. Edges weigh what all published evidence gives them. Run it
 * while the corpus version is held, so that the statements see one state.
 */
export async function readSnapshotRows(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[] | null = null,
): Promise<SnapshotRows> {
  const chunks = await sql.query<SnapshotChunk>(
    `SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.ordinal, c.headings,
       c.content AS text, c.token_count AS tokens
     FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND d.state = 'ready' AND ($2::uuid[] IS NULL OR c.document_id = ANY($2))`,
    [tenantId, documentIds],
  );
  const mentions = await sql.query<SnapshotMention>(
    `SELECT node_id AS "nodeId", chunk_id AS "chunkId", count FROM node_mentions
     WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) AND ($2::uuid[] IS NULL OR document_id = ANY($2))`,
    [tenantId, documentIds],
  );
  const evidence = await sql.query<SnapshotEvidence>(
    `SELECT edge_id AS "edgeId", chunk_id AS "chunkId", statement FROM edge_evidence
     WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) AND ($2::uuid[] IS NULL OR document_id = ANY($2))`,
    [tenantId, documentIds],
  );
  const edgeIds = documentIds && [...new Set(evidence.map((row) => row.edgeId))];
  const edges = await sql.query<SnapshotEdge>(
    `SELECT e.id, e.source_id AS "sourceId", e.target_id AS "targetId", e.type, s.weight, s.confidence
     FROM knowledge_edges e JOIN (
       SELECT edge_id, count(*)::real AS weight, max(confidence) AS confidence FROM edge_evidence
       WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) AND ($2::uuid[] IS NULL OR edge_id = ANY($2))
       GROUP BY edge_id) s ON s.edge_id = e.id
     WHERE e.tenant_id = $1`,
    [tenantId, edgeIds],
  );
  const used = new Set(mentions.map((row) => row.nodeId));
  for (const edge of edges) used.add(edge.sourceId).add(edge.targetId);
  return {
    chunks,
    mentions,
    evidence,
    edges,
    nodes: await readNodes(sql, tenantId, used, documentIds !== null),
  };
}

async function readNodes(
  sql: SqlClient,
  tenantId: TenantId,
  used: ReadonlySet<string>,
  onlyUsed: boolean,
): Promise<SnapshotNode[]> {
  const ids = onlyUsed ? [...used] : null;
  const rows = await sql.query<Omit<SnapshotNode, 'aliases' | 'aliasKeys'>>(
    `SELECT id, key, name, type FROM knowledge_nodes
     WHERE tenant_id = $1 AND ($2::uuid[] IS NULL OR id = ANY($2))`,
    [tenantId, ids],
  );
  const aliasRows = await sql.query<{ node_id: string; alias_key: string; alias: string }>(
    `SELECT node_id, alias_key, min(alias) AS alias FROM node_aliases
     WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) AND ($2::uuid[] IS NULL OR node_id = ANY($2))
     GROUP BY node_id, alias_key ORDER BY node_id, alias_key`,
    [tenantId, ids],
  );
  const aliases = new Map<string, { keys: string[]; names: string[] }>();
  for (const row of aliasRows) {
    const known = aliases.get(row.node_id) ?? { keys: [], names: [] };
    known.keys.push(row.alias_key);
    known.names.push(row.alias);
    aliases.set(row.node_id, known);
  }
  return rows
    .filter((row) => used.has(row.id))
    .map((row) => ({
      ...row,
      aliasKeys: aliases.get(row.id)?.keys ?? [],
      aliases: aliases.get(row.id)?.names ?? [],
    }));
}

/** Normal forms of every published node's names and aliases; `course` marks the concepts of courses. */
export async function readNames(
  sql: SqlClient,
  tenantId: TenantId,
): Promise<{ nodeId: string; key: string; course: boolean }[]> {
  return sql.query<{ nodeId: string; key: string; course: boolean }>(
    `WITH named AS (
       SELECT id AS node_id, key FROM knowledge_nodes
       WHERE tenant_id = $1 AND id IN (
         SELECT node_id FROM node_mentions WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}))
       UNION
       SELECT node_id, alias_key FROM node_aliases WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}))
     SELECT n.id AS "nodeId", named.key, n.attributes ? 'courseId' AS course
     FROM named JOIN knowledge_nodes n ON n.tenant_id = $1 AND n.id = named.node_id
     ORDER BY n.id, named.key`,
    [tenantId],
  );
}
