import type { SqlClient, TenantId } from '@sparkle/contracts';
import {
  type ChunkInput,
  type EvidenceInput,
  type GraphSnapshot,
  SnapshotBuilder,
} from '../../index/graph-snapshot.js';
import { finishedInSlices, type Steps } from '../../index/steps.js';
import type { SnapshotEdge, SnapshotMention, SnapshotNode } from '../../model.js';
import {
  edgeIsPublished,
  nodeIsPublished,
  ofPublished,
  readUnpublished,
  type UnpublishedRows,
} from './published-graph.js';
import { type SqlStatement, sql } from './sql-statement.js';

const PUBLISHED = `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready'`;

/** Rows fetched at once: what the driver makes of them takes a few milliseconds. */
const PAGE = 2000;

/**
 * Reads everything published of a tenant's graph, page by page, and builds a snapshot in slices of a few
 * milliseconds, so that neither keeps the event loop from others. Needs a transaction that sees one state
 * (`REPEATABLE READ`).
 */
export async function readSnapshot(client: SqlClient, tenantId: TenantId): Promise<GraphSnapshot> {
  const unpublished = await readUnpublished(client, tenantId);
  const builder = new SnapshotBuilder();
  const feed = async <Row extends object>(
    statement: SqlStatement,
    add: (rows: readonly Row[]) => Steps<void>,
  ): Promise<void> => {
    await sql`DECLARE snapshot_rows NO SCROLL CURSOR FOR ${statement}`.rows(client);
    for (;;) {
      const rows = await client.query<Row>(`FETCH ${PAGE} FROM snapshot_rows`);
      await finishedInSlices(add(rows));
      if (rows.length < PAGE) break;
    }
    await client.query('CLOSE snapshot_rows');
  };

  await feed<SnapshotNode>(
    sql`SELECT n.id, n.key, n.name, n.type, coalesce(a.keys, '{}') AS "aliasKeys",
        coalesce(a.names, '{}') AS aliases
      FROM knowledge_nodes n LEFT JOIN (
        SELECT node_id, array_agg(alias_key ORDER BY alias_key) AS keys, array_agg(alias ORDER BY alias_key) AS names
        FROM (SELECT node_id, alias_key, min(alias) AS alias FROM node_aliases
          WHERE tenant_id = ${tenantId} AND ${ofPublished(sql`document_id`, unpublished)}
          GROUP BY node_id, alias_key) AS each
        GROUP BY node_id) AS a ON a.node_id = n.id
      WHERE n.tenant_id = ${tenantId} AND ${nodeIsPublished(tenantId, sql`n.id`, unpublished)}
      ORDER BY n.id`,
    (rows) => builder.addNodes(rows),
  );
  const titles = new Map<string, string>();
  await feed<{ id: string; title: string }>(
    sql`SELECT id, title FROM documents WHERE tenant_id = ${tenantId} AND state = 'ready'`,
    // biome-ignore lint/correctness/useYield: a page of titles is quickly kept
    function* (rows) {
      for (const { id, title } of rows) titles.set(id, title);
    },
  );
  await feed<Omit<ChunkInput, 'documentTitle'>>(
    sql`SELECT id, document_id AS "documentId", ordinal, headings, content AS text, token_count AS tokens, terms
      FROM chunks WHERE tenant_id = ${tenantId} AND ${ofPublished(sql`document_id`, unpublished)} ORDER BY id`,
    (rows) => builder.addChunks(rows.map((row) => ({ ...row, documentTitle: titles.get(row.documentId)! }))),
  );
  await feed<SnapshotEdge>(
    sql`SELECT e.id, e.source_id AS "sourceId", e.target_id AS "targetId", e.type, e.weight, e.confidence
      FROM knowledge_edges e WHERE e.tenant_id = ${tenantId} AND ${edgeIsPublished(sql`e.id`, unpublished)}
      ORDER BY e.id`,
    (rows) => builder.addEdges(rows.map((row) => ({ ...row, ...unpublished.weights.get(row.id) }))),
  );
  await feed<SnapshotMention>(
    sql`SELECT node_id AS "nodeId", chunk_id AS "chunkId", count FROM node_mentions
      WHERE tenant_id = ${tenantId} AND ${ofPublished(sql`document_id`, unpublished)} ORDER BY node_id, chunk_id`,
    (rows) => builder.addMentions(rows),
  );
  await feed<EvidenceInput>(
    sql`SELECT edge_id AS "edgeId", chunk_id AS "chunkId", statement, terms FROM edge_evidence
      WHERE tenant_id = ${tenantId} AND ${ofPublished(sql`document_id`, unpublished)} ORDER BY edge_id, chunk_id`,
    (rows) => builder.addEvidence(rows),
  );
  return finishedInSlices(builder.build());
}

/**
 * About how many bytes a snapshot of the tenant's graph would take, by counting: what is kept of each row, its
 * strings, and five bytes for each search term.
 */
export async function estimateSnapshotBytes(client: SqlClient, tenantId: TenantId): Promise<number> {
  const unpublished = await readUnpublished(client, tenantId);
  const rows = await sql`${sizes(
    'node',
    sql`octet_length(n.key) * 2 + octet_length(n.name)`,
    sql`s.term_count`,
    sql`knowledge_nodes n LEFT JOIN node_names s ON s.tenant_id = n.tenant_id AND s.node_id = n.id`,
    sql`n.tenant_id = ${tenantId}`,
  )}
    UNION ALL ${sizes(
      'chunk',
      sql`octet_length(content)`,
      sql`term_count`,
      sql`chunks`,
      published(tenantId, unpublished),
    )}
    UNION ALL ${sizes('edge', sql`0`, sql`0`, sql`knowledge_edges`, sql`tenant_id = ${tenantId}`)}
    UNION ALL ${sizes('mention', sql`0`, sql`0`, sql`node_mentions`, published(tenantId, unpublished))}
    UNION ALL ${sizes(
      'fact',
      sql`octet_length(statement)`,
      sql`term_count`,
      sql`edge_evidence`,
      published(tenantId, unpublished),
    )}`.rows<{ kind: keyof typeof ROW_BYTES; rows: number; bytes: number; terms: number }>(client);
  const terms = rows.reduce((sum, size) => sum + size.terms, 0);
  // Heaps' law with the constants of the data sets at hand: how many different terms there are among so many.
  const vocabulary = Math.min(terms / 4, 30 * terms ** 0.55);
  return rows.reduce(
    (sum, size) => sum + size.rows * ROW_BYTES[size.kind] + size.bytes + size.terms * TERM_BYTES,
    vocabulary * VOCABULARY_BYTES,
  );
}

/** What the typed arrays hold of each row. */
const ROW_BYTES = { node: 70, chunk: 60, edge: 60, mention: 28, fact: 14 } as const;
const TERM_BYTES = 5;
const VOCABULARY_BYTES = 80;

function sizes(
  kind: keyof typeof ROW_BYTES,
  bytes: SqlStatement,
  terms: SqlStatement,
  from: SqlStatement,
  where: SqlStatement,
): SqlStatement {
  return sql`SELECT ${kind}::text AS kind, count(*)::float8 AS rows, coalesce(sum(${bytes}), 0)::float8 AS bytes,
    coalesce(sum(${terms}), 0)::float8 AS terms FROM ${from} WHERE ${where}`;
}

function published(tenantId: TenantId, unpublished: UnpublishedRows): SqlStatement {
  return sql`tenant_id = ${tenantId} AND ${ofPublished(sql`document_id`, unpublished)}`;
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
