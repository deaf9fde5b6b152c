import type { SqlClient, TenantId } from '@sparkle/contracts';
import { type SqlStatement, sql } from './sql-statement.js';

/**
 * What of a tenant's rows is not part of the published graph. Documents on their way in or out have rows already,
 * but there are few of them at any time, so statements leave out theirs instead of looking up each row's document.
 */
export interface UnpublishedRows {
  /** Documents that have passages and are not published. */
  readonly documents: readonly string[];
  /** Edges that only such documents state. */
  readonly edges: readonly string[];
  /** What published evidence gives the other edges that such documents state, too. */
  readonly weights: ReadonlyMap<string, { readonly weight: number; readonly confidence: number }>;
}

export async function readUnpublished(client: SqlClient, tenantId: TenantId): Promise<UnpublishedRows> {
  const found = await sql`SELECT d.id FROM documents d
    WHERE d.tenant_id = ${tenantId} AND d.state <> 'ready'
      AND EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = ${tenantId} AND c.document_id = d.id)`.rows<{
    id: string;
  }>(client);
  const documents = found.map(({ id }) => id);
  if (documents.length === 0) return { documents, edges: [], weights: new Map() };
  const stated =
    await sql`SELECT t.edge_id AS id, count(v.edge_id)::real AS weight, max(v.confidence) AS confidence
    FROM (SELECT DISTINCT edge_id FROM edge_evidence
      WHERE tenant_id = ${tenantId} AND document_id = ANY(${documents}::uuid[])) t
    LEFT JOIN edge_evidence v ON v.tenant_id = ${tenantId} AND v.edge_id = t.edge_id
      AND v.document_id <> ALL(${documents}::uuid[])
    GROUP BY t.edge_id`.rows<{ id: string; weight: number; confidence: number | null }>(client);
  return {
    documents,
    edges: stated.filter(({ confidence }) => confidence === null).map(({ id }) => id),
    weights: new Map(
      stated.flatMap(({ id, weight, confidence }) =>
        confidence === null ? [] : [[id, { weight, confidence }] as const],
      ),
    ),
  };
}

/** True for rows whose `document_id` is `column` and published. */
export function ofPublished(column: SqlStatement, { documents }: UnpublishedRows): SqlStatement {
  return sql`${column} <> ALL(${documents}::uuid[])`;
}

/** True for edges that something published states. */
export function edgeIsPublished(id: SqlStatement, { edges }: UnpublishedRows): SqlStatement {
  return sql`${id} <> ALL(${edges}::uuid[])`;
}

/** True for nodes that something published mentions, or that a published edge is at. */
export function nodeIsPublished(
  tenantId: TenantId,
  id: SqlStatement,
  unpublished: UnpublishedRows,
): SqlStatement {
  const hasEdge = (column: SqlStatement) => sql`EXISTS (SELECT 1 FROM knowledge_edges e
    WHERE e.tenant_id = ${tenantId} AND ${column} = ${id} AND ${edgeIsPublished(sql`e.id`, unpublished)})`;
  return sql`(EXISTS (SELECT 1 FROM node_mentions m WHERE m.tenant_id = ${tenantId} AND m.node_id = ${id}
      AND ${ofPublished(sql`m.document_id`, unpublished)})
    OR ${hasEdge(sql`e.source_id`)} OR ${hasEdge(sql`e.target_id`)})`;
}
