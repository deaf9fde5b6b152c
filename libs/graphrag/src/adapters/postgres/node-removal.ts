import type { SqlClient, TenantId } from '@sparkle/contracts';

/** Nodes go when no document states them any more, neither as they are shown nor as it wrote them. */
export async function removeUnstated(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<void> {
  const none = (table: string, ...columns: string[]) =>
    columns
      .map(
        (column) => `AND NOT EXISTS (SELECT 1 FROM ${table} x WHERE x.tenant_id = $1 AND x.${column} = n.id)`,
      )
      .join('\n');
  await sql.query(
    `DELETE FROM knowledge_nodes n WHERE n.tenant_id = $1 AND n.id = ANY($2::uuid[])
     ${none('node_mentions', 'node_id')}
     ${none('knowledge_edges', 'source_id', 'target_id')}
     ${none('origin_mentions', 'node_id')}
     ${none('origin_evidence', 'source_id', 'target_id')}`,
    [tenantId, nodeIds],
  );
}

/** What nodes' embeddings were made from has changed. */
export async function forgetEmbeddings(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<void> {
  await sql.query(
    `UPDATE knowledge_nodes SET embedding = NULL, embedding_source = NULL
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND embedding_source IS NOT NULL`,
    [tenantId, nodeIds],
  );
}
