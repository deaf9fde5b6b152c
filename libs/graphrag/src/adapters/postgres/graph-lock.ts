import type { SqlClient, TenantId } from '@sparkle/contracts';

/**
 * Lets one transaction at a time decide which names are the same entity and which nodes are still needed in a
 * tenant's graph. Held until the transaction ends, always taken before any row lock. PGlite, whose advisory
 * locks exclude nobody, has a single session in which transactions follow each other anyway.
 */
export async function lockGraph(sql: SqlClient, tenantId: TenantId): Promise<void> {
  await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`graphrag:${tenantId}`]);
}
