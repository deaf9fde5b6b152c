import type { SqlClient, TenantId } from '@sparkle/contracts';
import { z } from 'zod';
import type { LearnableNode, PrerequisiteEdge, PrerequisiteGraph } from '../../learn/learning-path.js';

/** What a course stores with a concept's node. Anything that does not fit is taken for missing. */
const attributesSchema = z.object({
  hours: z.number().positive().optional().catch(undefined),
  difficulty: z.number().min(1).max(5).optional().catch(undefined),
  resources: z.array(z.object({ title: z.string(), kind: z.string(), url: z.string().optional() })).catch([]),
});

/**
 * The target with everything that leads to it along published prerequisites of at least `minConfidence`:
 * two statements, however deep the graph is.
 */
export async function readPrerequisites(
  sql: SqlClient,
  tenantId: TenantId,
  targetId: string,
  minConfidence: number,
): Promise<PrerequisiteGraph> {
  const edges = await sql.query<{
    sourceId: string;
    targetId: string;
    confidence: number;
    reason: string | null;
    alternative: string | null;
  }>(
    `WITH RECURSIVE stated AS (
       SELECT e.id, e.source_id, e.target_id, e.attributes, v.confidence, v.statement
       FROM knowledge_edges e CROSS JOIN LATERAL (
         SELECT v.confidence, v.statement FROM edge_evidence v
         JOIN documents d ON d.tenant_id = v.tenant_id AND d.id = v.document_id
         WHERE v.tenant_id = $1 AND v.edge_id = e.id AND d.state = 'ready'
         ORDER BY v.confidence DESC, v.chunk_id LIMIT 1) v
       WHERE e.tenant_id = $1 AND e.type = 'prerequisite_of' AND v.confidence >= $3::real),
     needed AS (
       SELECT $2::uuid AS id
       UNION
       SELECT stated.source_id FROM stated JOIN needed ON stated.target_id = needed.id)
     SELECT stated.source_id AS "sourceId", stated.target_id AS "targetId", stated.confidence,
       coalesce(stated.attributes->>'reason', stated.statement) AS reason,
       stated.attributes->>'alternative_group' AS alternative
     FROM stated JOIN needed ON stated.target_id = needed.id
     ORDER BY stated.id`,
    [tenantId, targetId, minConfidence],
  );
  const ids = new Set([targetId]);
  for (const edge of edges) ids.add(edge.sourceId).add(edge.targetId);
  const nodes = await sql.query<{
    id: string;
    name: string;
    description: string | null;
    attributes: Record<string, unknown>;
  }>(
    'SELECT id, name, description, attributes FROM knowledge_nodes WHERE tenant_id = $1 AND id = ANY($2::uuid[])',
    [tenantId, [...ids]],
  );
  return {
    nodes: new Map(
      nodes.map((row): [string, LearnableNode] => {
        const { hours, difficulty, resources } = attributesSchema.parse(row.attributes);
        return [
          row.id,
          {
            id: row.id,
            name: row.name,
            hours,
            difficulty,
            resources,
            summary: row.description ?? undefined,
          },
        ];
      }),
    ),
    edges: edges.map(
      (row): PrerequisiteEdge => ({
        sourceId: row.sourceId,
        targetId: row.targetId,
        // Stored as real: 0.8 comes back as 0.800000011920929.
        confidence: Math.round(row.confidence * 1e6) / 1e6,
        reason: row.reason ?? undefined,
        alternativeGroup: row.alternative ?? undefined,
      }),
    ),
  };
}

/** Those of the nodes that the learner has mastered. */
export async function readMastered(
  sql: SqlClient,
  tenantId: TenantId,
  userId: string,
  nodeIds: readonly string[],
): Promise<Set<string>> {
  const rows = await sql.query<{ node_id: string }>(
    `SELECT node_id FROM user_node_status
     WHERE tenant_id = $1 AND user_id = $2 AND mastered AND node_id = ANY($3::uuid[])`,
    [tenantId, userId, nodeIds],
  );
  return new Set(rows.map((row) => row.node_id));
}
