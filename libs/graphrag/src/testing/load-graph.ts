import type { SqlClient, TenantId } from '@sparkle/contracts';
import { recordChanges } from '../adapters/postgres/corpus-version.js';
import { analyse } from '../index/analyse.js';
import { passageText } from '../index/passage-terms.js';
import type { SnapshotRows } from '../model.js';

/** Stores a graph as ingestion would, each document published. Ids must be UUIDs. */
export async function loadGraph(sql: SqlClient, tenantId: TenantId, rows: SnapshotRows): Promise<void> {
  const documentOf = new Map(rows.chunks.map((chunk) => [chunk.id, chunk.documentId]));
  const titles = new Map(rows.chunks.map((chunk) => [chunk.documentId, chunk.documentTitle]));
  const insert = (statement: string, values: readonly object[]) =>
    sql.query(statement, [tenantId, JSON.stringify(values)]);
  await insert(
    `INSERT INTO documents (tenant_id, id, title, format, content, content_hash, byte_size, state, created_by)
     SELECT $1, id, title, 'text', '', id::text, 0, 'ready', 'test'
     FROM jsonb_to_recordset($2::jsonb) AS x(id uuid, title text)`,
    [...titles].map(([id, title]) => ({ id, title })),
  );
  await insert(
    `INSERT INTO chunks
       (tenant_id, id, document_id, ordinal, headings, content, start_offset, end_offset, token_count, terms)
     SELECT $1, id, document, ordinal, ARRAY(SELECT jsonb_array_elements_text(headings)), text, 0, 0, tokens, terms
     FROM jsonb_to_recordset($2::jsonb)
       AS x(id uuid, document uuid, ordinal integer, headings jsonb, text text, tokens integer, terms text)`,
    rows.chunks.map((chunk) => ({
      ...chunk,
      document: chunk.documentId,
      terms: analyse(passageText(chunk)).join(' '),
    })),
  );
  await insert(
    `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type)
     SELECT $1, id, key, name, type FROM jsonb_to_recordset($2::jsonb) AS x(id uuid, key text, name text, type text)`,
    rows.nodes,
  );
  const [anyDocument] = titles.keys();
  await insert(
    `INSERT INTO node_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT $1, id, key, alias, document
     FROM jsonb_to_recordset($2::jsonb) AS x(id uuid, key text, alias text, document uuid)`,
    rows.nodes.flatMap((node) =>
      node.aliasKeys.map((key, at) => ({ id: node.id, key, alias: node.aliases[at], document: anyDocument })),
    ),
  );
  await insert(
    `INSERT INTO knowledge_edges (tenant_id, id, source_id, target_id, type, weight, confidence)
     SELECT $1, id, source, target, type, weight, confidence FROM jsonb_to_recordset($2::jsonb)
       AS x(id uuid, source uuid, target uuid, type text, weight real, confidence real)`,
    rows.edges.map((edge) => ({ ...edge, source: edge.sourceId, target: edge.targetId })),
  );
  await insert(
    `INSERT INTO node_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT $1, node, chunk, document, count
     FROM jsonb_to_recordset($2::jsonb) AS x(node uuid, chunk uuid, document uuid, count integer)`,
    rows.mentions.map(({ nodeId, chunkId, count }) => ({
      node: nodeId,
      chunk: chunkId,
      document: documentOf.get(chunkId),
      count,
    })),
  );
  const confidenceOf = new Map(rows.edges.map((edge) => [edge.id, edge.confidence]));
  await insert(
    `INSERT INTO edge_evidence (tenant_id, edge_id, chunk_id, document_id, statement, confidence)
     SELECT $1, edge, chunk, document, statement, confidence FROM jsonb_to_recordset($2::jsonb)
       AS x(edge uuid, chunk uuid, document uuid, statement text, confidence real)`,
    rows.evidence.map(({ edgeId, chunkId, statement }) => ({
      edge: edgeId,
      chunk: chunkId,
      document: documentOf.get(chunkId),
      statement,
      confidence: confidenceOf.get(edgeId),
    })),
  );
  await recordChanges(sql, tenantId, [...titles.keys()], 'added');
}
