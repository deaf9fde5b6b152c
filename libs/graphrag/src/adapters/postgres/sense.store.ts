import type { SqlClient, TenantId } from '@sparkle/contracts';
import { hypernymHead, SURE_HYPERNYM } from '../../resolve/name-context.js';
import { toVectorText } from './chunk.store.js';

/** Passages and statements of a node that speak for it; more would not change what it is about. */
const PASSAGES = 100;
const STATEMENTS = 4;
const EXCERPT = 400;

/** What nodes are said to be, by id. Nodes of which nothing is said are missing. */
export async function readKinds(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<Map<string, Set<string>>> {
  const rows = await sql.query<{ id: string; name: string }>(
    `SELECT e.source_id AS id, t.name FROM knowledge_edges e
     JOIN knowledge_nodes t ON t.tenant_id = e.tenant_id AND t.id = e.target_id
     WHERE e.tenant_id = $1 AND e.source_id = ANY($2::uuid[]) AND e.type = 'is_a'
       AND e.confidence >= ${SURE_HYPERNYM}::real`,
    [tenantId, nodeIds],
  );
  const kinds = new Map<string, Set<string>>();
  for (const { id, name } of rows) {
    const head = hypernymHead(name);
    if (head !== undefined) kinds.set(id, (kinds.get(id) ?? new Set()).add(head));
  }
  return kinds;
}

export interface StoredNodeContext {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly neighbours: readonly string[];
  /** What is said about it, the surest first; the beginning of a passage when nothing is. */
  readonly statements: readonly string[];
  readonly embedding: Float32Array | undefined;
  readonly embeddingSource: string | null;
}

/**
 * What surrounds nodes, from a bounded number of passages each. `OFFSET 0` keeps the planner from walking over all of
 * the tenant's nodes and looking for the passages of each.
 */
export async function readNodeContexts(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<StoredNodeContext[]> {
  if (nodeIds.length === 0) return [];
  const rows = await sql.query<Omit<StoredNodeContext, 'embedding'> & { embedding: string | null }>(
    `SELECT n.id, n.name, n.description, n.embedding::text AS embedding,
       n.embedding_source AS "embeddingSource",
       ARRAY(
         SELECT DISTINCT o.key FROM (
           SELECT chunk_id FROM node_mentions WHERE tenant_id = $1 AND node_id = n.id
           ORDER BY chunk_id LIMIT ${PASSAGES}) c
         CROSS JOIN LATERAL (
           SELECT node_id FROM node_mentions WHERE tenant_id = $1 AND chunk_id = c.chunk_id OFFSET 0) m
         CROSS JOIN LATERAL (
           SELECT key FROM knowledge_nodes WHERE tenant_id = $1 AND id = m.node_id
             AND id <> n.id AND type NOT IN ('date', 'number') OFFSET 0) o) AS neighbours,
       ARRAY(
         SELECT s.statement FROM (
           SELECT v.statement, max(v.confidence) AS confidence FROM knowledge_edges e
           JOIN edge_evidence v ON v.tenant_id = $1 AND v.edge_id = e.id
           WHERE e.tenant_id = $1 AND (e.source_id = n.id OR e.target_id = n.id)
           GROUP BY v.statement) s
         ORDER BY s.confidence DESC, s.statement LIMIT ${STATEMENTS}) AS statements
     FROM knowledge_nodes n WHERE n.tenant_id = $1 AND n.id = ANY($2::uuid[]) ORDER BY n.id`,
    [tenantId, nodeIds],
  );
  const silent = rows.filter((row) => row.statements.length === 0).map((row) => row.id);
  const passages = await readExcerpts(sql, tenantId, silent);
  return rows.map((row) => ({
    ...row,
    statements: row.statements.length > 0 ? row.statements : (passages.get(row.id) ?? []),
    embedding: row.embedding === null ? undefined : Float32Array.from(JSON.parse(row.embedding) as number[]),
  }));
}

async function readExcerpts(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<Map<string, string[]>> {
  if (nodeIds.length === 0) return new Map();
  const rows = await sql.query<{ id: string; excerpt: string }>(
    `SELECT DISTINCT ON (m.node_id) m.node_id AS id, left(c.content, ${EXCERPT}) AS excerpt
     FROM node_mentions m JOIN chunks c ON c.tenant_id = m.tenant_id AND c.id = m.chunk_id
     WHERE m.tenant_id = $1 AND m.node_id = ANY($2::uuid[]) ORDER BY m.node_id, m.count DESC, c.id`,
    [tenantId, nodeIds],
  );
  return new Map(rows.map(({ id, excerpt }) => [id, [excerpt]]));
}

/** The beginnings of passages, by id. */
export async function readPassageExcerpts(
  sql: SqlClient,
  tenantId: TenantId,
  chunkIds: readonly string[],
): Promise<Map<string, string>> {
  const rows = await sql.query<{ id: string; excerpt: string }>(
    `SELECT id, left(content, ${EXCERPT}) AS excerpt FROM chunks WHERE tenant_id = $1 AND id = ANY($2::uuid[])`,
    [tenantId, chunkIds],
  );
  return new Map(rows.map(({ id, excerpt }) => [id, excerpt]));
}

/** Keeps nodes' embeddings with a digest of what they were made from. */
export async function writeNodeEmbeddings(
  sql: SqlClient,
  tenantId: TenantId,
  embeddings: readonly { nodeId: string; vector: Float32Array; source: string }[],
): Promise<void> {
  await sql.query(
    `UPDATE knowledge_nodes SET embedding = e.vector::vector, embedding_source = e.source
     FROM unnest($2::uuid[], $3::text[], $4::text[]) AS e(id, vector, source)
     WHERE knowledge_nodes.tenant_id = $1 AND knowledge_nodes.id = e.id`,
    [
      tenantId,
      embeddings.map(({ nodeId }) => nodeId),
      embeddings.map(({ vector }) => toVectorText(vector)),
      embeddings.map(({ source }) => source),
    ],
  );
}
