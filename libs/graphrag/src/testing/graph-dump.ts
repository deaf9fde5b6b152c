import type { TenantDatabase, TenantId } from '@sparkle/contracts';

/** Everything ingestion wrote for a tenant, without times and job ids, in an order of its own. */
export async function dumpGraph(
  database: TenantDatabase,
  tenantId: TenantId,
): Promise<Record<string, unknown[]>> {
  const queries = {
    documents: `SELECT id, title, format, content_hash, state, step, chunk_count, entity_count, relation_count,
      cost - 'durationsMs' AS cost, attributes FROM documents`,
    chunks: `SELECT id, document_id, ordinal, headings, content, start_offset, end_offset, token_count, terms, page,
      md5(embedding::text) AS embedding FROM chunks`,
    nodes: 'SELECT id, key, name, type, description, attributes FROM knowledge_nodes',
    aliases: 'SELECT node_id, alias_key, alias, document_id FROM node_aliases',
    edges: 'SELECT id, source_id, target_id, type, weight, confidence, attributes FROM knowledge_edges',
    mentions: 'SELECT node_id, chunk_id, document_id, count FROM node_mentions',
    evidence: 'SELECT edge_id, chunk_id, document_id, statement, confidence FROM edge_evidence',
  };
  return database.withTenant(tenantId, async (sql) => {
    const dump: Record<string, unknown[]> = {};
    for (const [name, query] of Object.entries(queries)) {
      const rows = await sql.query(`SELECT * FROM (${query} WHERE tenant_id = $1) AS r`, [tenantId]);
      dump[name] = rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    }
    return dump;
  });
}
