import { once } from 'node:events';
import { analyse, factTerms, nameTerms, normaliseEntityName, passageText } from '@sparkle/graphrag';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { SyntheticGraph } from '../synthetic-graph.js';

/** Tables as they are copied. Indexes that are slow to keep up to date are made anew after all rows are there. */
const TABLES = {
  documents: 'id, title, format, content, content_hash, byte_size, state, created_by, title_key',
  chunks: 'id, document_id, ordinal, content, start_offset, end_offset, token_count, terms, embedding',
  knowledge_nodes: 'id, key, name, type',
  node_names: 'node_id, terms',
  knowledge_edges: 'id, source_id, target_id, type, weight, confidence',
  node_mentions: 'node_id, chunk_id, document_id, count',
  edge_evidence: 'edge_id, chunk_id, document_id, statement, confidence, terms',
} as const;

/**
 * Writes a graph as ingestion leaves it, through `COPY` with triggers and foreign keys off.
 * @param url of a role that may set `session_replication_role`.
 */
export async function loadGraph(url: string, tenantId: string, graph: SyntheticGraph): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'");
    await client.query('SET max_parallel_maintenance_workers = 2; SET synchronous_commit = off');
    const { rows: indexes } = await client.query<{ name: string; statement: string }>(
      `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS statement
       FROM pg_index JOIN pg_class c ON c.oid = indrelid JOIN pg_am ON pg_am.oid =
         (SELECT relam FROM pg_class WHERE oid = indexrelid)
       WHERE c.relname = ANY($1) AND amname IN ('gin', 'hnsw')`,
      [Object.keys(TABLES)],
    );
    for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
    const rows = rowsOf(graph);
    for (const [table, columns] of Object.entries(TABLES)) {
      const stream = client.query(copyFrom(`COPY ${table} (tenant_id, ${columns}) FROM STDIN`));
      for (const line of batches(tenantId, rows[table as keyof typeof TABLES]()))
        if (!stream.write(line)) await once(stream, 'drain');
      stream.end();
      await once(stream, 'finish');
    }
    for (const { statement } of indexes) await client.query(statement);
    await client.query('UPDATE tenants SET corpus_version = 1 WHERE id = $1', [tenantId]);
    await client.query('VACUUM ANALYZE');
  } finally {
    await client.end();
  }
}

type Cell = string | number;

function rowsOf({ rows, vectorOf }: SyntheticGraph): Record<keyof typeof TABLES, () => Iterable<Cell[]>> {
  const names = new Map(rows.nodes.map(({ id, name }) => [id, name]));
  const edges = new Map(rows.edges.map((edge) => [edge.id, edge]));
  const documentOf = new Map(rows.chunks.map(({ id, documentId }) => [id, documentId]));
  return {
    documents: function* () {
      for (const { documentId: id, documentTitle: title } of rows.chunks)
        yield [id, title, 'text', '', id, 0, 'ready', 'bench', normaliseEntityName(title)];
    },
    chunks: function* () {
      for (const [at, chunk] of rows.chunks.entries()) {
        const terms = analyse(passageText(chunk)).join(' ');
        const embedding = `[${vectorOf(at).join(',')}]`;
        yield [
          chunk.id,
          chunk.documentId,
          0,
          chunk.text,
          0,
          chunk.text.length,
          chunk.tokens,
          terms,
          embedding,
        ];
      }
    },
    knowledge_nodes: function* () {
      for (const { id, key, name, type } of rows.nodes) yield [id, key, name, type];
    },
    node_names: function* () {
      for (const node of rows.nodes) yield [node.id, nameTerms(node).join(' ')];
    },
    knowledge_edges: function* () {
      for (const { id, sourceId, targetId, type, weight, confidence } of rows.edges)
        yield [id, sourceId, targetId, type, weight, confidence];
    },
    node_mentions: function* () {
      for (const { nodeId, chunkId, count } of rows.mentions)
        yield [nodeId, chunkId, documentOf.get(chunkId)!, count];
    },
    edge_evidence: function* () {
      for (const { edgeId, chunkId, statement } of rows.evidence) {
        const { sourceId, targetId, type } = edges.get(edgeId)!;
        const [source, target] = [names.get(sourceId)!, names.get(targetId)!];
        const terms = factTerms({ source, target, type, statement }).join(' ');
        yield [edgeId, chunkId, documentOf.get(chunkId)!, statement, 0.8, terms];
      }
    },
  };
}

/** Lines of `COPY`'s text format, some hundred at once. No cell needs escaping: there are only words and numbers. */
function* batches(tenantId: string, rows: Iterable<Cell[]>): Generator<string> {
  let text = '';
  for (const row of rows) {
    text += `${tenantId}\t${row.join('\t')}\n`;
    if (text.length < 65_536) continue;
    yield text;
    text = '';
  }
  yield text;
}
