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
    // Backwards from the target, so that a tenant's other prerequisites are not even looked at.
    `WITH RECURSIVE needed AS (
       SELECT $2::uuid AS id
       UNION
       SELECT e.source_id FROM needed JOIN knowledge_edges e
         ON e.tenant_id = $1 AND e.target_id = needed.id AND e.type = 'prerequisite_of'
       WHERE EXISTS (
         SELECT 1 FROM edge_evidence v JOIN documents d ON d.tenant_id = v.tenant_id AND d.id = v.document_id
         WHERE v.tenant_id = $1 AND v.edge_id = e.id AND v.confidence >= $3::real AND d.state = 'ready'))
     SELECT e.source_id AS "sourceId", e.target_id AS "targetId", best.confidence,
       coalesce(e.attributes->>'reason', best.statement) AS reason,
       e.attributes->>'alternative_group' AS alternative
     FROM needed JOIN knowledge_edges e
         ON e.tenant_id = $1 AND e.target_id = needed.id AND e.type = 'prerequisite_of'
       CROSS JOIN LATERAL (
         SELECT v.confidence, v.statement FROM edge_evidence v
         JOIN documents d ON d.tenant_id = v.tenant_id AND d.id = v.document_id
         WHERE v.tenant_id = $1 AND v.edge_id = e.id AND d.state = 'ready'
         ORDER BY v.confidence DESC, v.chunk_id LIMIT 1) best
     WHERE best.confidence >= $3::real
     ORDER BY e.id`,
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
