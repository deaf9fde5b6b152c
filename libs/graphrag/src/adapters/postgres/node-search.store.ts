import type { SqlClient, TenantId } from '@sparkle/contracts';
import { normaliseEntityName } from '../../extract/entity-name.js';
import { isUuid } from '../../ingest/document.service.js';
import type { EntityType } from '../../model.js';

/** An entity found by name. */
export interface EntityHit {
  readonly id: string;
  readonly name: string;
  readonly type: EntityType;
  readonly description: string | null;
  readonly aliases: readonly string[];
  readonly match: 'exact' | 'alias' | 'similar';
  /** In `(0, 1]`: 1 for the name itself. */
  readonly score: number;
  /** Published passages that mention it. */
  readonly passages: number;
}

const PUBLISHED = `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready'`;

/**
 * Published nodes called like `text`, best first: by name, by alias, then by trigram similarity or as a part of
 * the name. The last makes Chinese work, which has no trigrams in every locale.
 */
export async function searchNodes(
  sql: SqlClient,
  tenantId: TenantId,
  text: string,
  limit: number,
): Promise<EntityHit[]> {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`;
  // A part counts by its share of the whole, so that "net" finds "ResNet" before a sentence with "net" in it.
  const likeness = (column: string) =>
    `0.9 * greatest(similarity(${column}, $3),
       CASE WHEN ${column} ILIKE $4 THEN 0.3 + 0.6 * length($3::text)::real / length(${column}) ELSE 0 END)`;
  return sql.query<EntityHit>(
    `WITH hit AS (
       SELECT id AS node_id, 1.0::real AS score, 'exact' AS match FROM knowledge_nodes
       WHERE tenant_id = $1 AND key = $2
       UNION ALL
       SELECT node_id, 0.95, 'alias' FROM node_aliases
       WHERE tenant_id = $1 AND alias_key = $2 AND document_id IN (${PUBLISHED})
       UNION ALL
       SELECT id, ${likeness('name')}, 'similar' FROM knowledge_nodes
       WHERE tenant_id = $1 AND (name % $3 OR name ILIKE $4)
       UNION ALL
       SELECT node_id, ${likeness('alias')}, 'similar' FROM node_aliases
       WHERE tenant_id = $1 AND (alias % $3 OR alias ILIKE $4) AND document_id IN (${PUBLISHED})),
     best AS (SELECT DISTINCT ON (node_id) node_id, score, match FROM hit ORDER BY node_id, score DESC, match),
     seen AS (
       SELECT best.*, (SELECT count(*)::integer FROM node_mentions m
         WHERE m.tenant_id = $1 AND m.node_id = best.node_id AND m.document_id IN (${PUBLISHED})) AS passages
       FROM best)
     SELECT n.id, n.name, n.type, n.description, seen.match, seen.score, seen.passages,
       ARRAY(SELECT DISTINCT a.alias FROM node_aliases a
         WHERE a.tenant_id = $1 AND a.node_id = n.id AND a.document_id IN (${PUBLISHED}) ORDER BY 1) AS aliases
     FROM seen JOIN knowledge_nodes n ON n.tenant_id = $1 AND n.id = seen.node_id
     WHERE seen.passages > 0
     ORDER BY seen.score DESC, seen.passages DESC, n.name, n.id
     LIMIT $5`,
    [tenantId, normaliseEntityName(text), text, pattern, limit],
  );
}

/** Names near `text`, for telling a caller what exists. */
export async function nearestNames(sql: SqlClient, tenantId: TenantId, text: string): Promise<string[]> {
  const usable = text.slice(0, 200).replaceAll('\u0000', '');
  return (await searchNodes(sql, tenantId, usable, 5)).map((hit) => hit.name);
}

/**
 * The published nodes that references (ids, names or aliases) mean. Of several nodes with one alias the most
 * mentioned is meant. References that mean nothing are missing from the result.
 */
export async function findNodes(
  sql: SqlClient,
  tenantId: TenantId,
  references: readonly string[],
): Promise<Map<string, { id: string; name: string }>> {
  const wanted = references.map((reference) => ({
    reference,
    id: isUuid(reference) ? reference : null,
    key: normaliseEntityName(reference),
  }));
  const rows = await sql.query<{ reference: string; id: string; name: string }>(
    `WITH wanted AS (
       SELECT * FROM jsonb_to_recordset($2::jsonb) AS w(reference text, id uuid, key text)),
     hit AS (
       SELECT w.reference, n.id AS node_id, 0 AS rank FROM wanted w
         JOIN knowledge_nodes n ON n.tenant_id = $1 AND n.id = w.id
       UNION ALL
       SELECT w.reference, n.id, 1 FROM wanted w JOIN knowledge_nodes n ON n.tenant_id = $1 AND n.key = w.key
       UNION ALL
       SELECT w.reference, a.node_id, 2 FROM wanted w
         JOIN node_aliases a ON a.tenant_id = $1 AND a.alias_key = w.key
           AND a.document_id IN (${PUBLISHED})),
     seen AS (
       SELECT hit.*, (SELECT count(*) FROM node_mentions m
         WHERE m.tenant_id = $1 AND m.node_id = hit.node_id AND m.document_id IN (${PUBLISHED})) AS passages
       FROM hit)
     SELECT DISTINCT ON (seen.reference) seen.reference, n.id, n.name
     FROM seen JOIN knowledge_nodes n ON n.tenant_id = $1 AND n.id = seen.node_id
     WHERE seen.passages > 0
     ORDER BY seen.reference, seen.rank, seen.passages DESC, n.id`,
    [tenantId, JSON.stringify(wanted)],
  );
  return new Map(rows.map((row) => [row.reference, { id: row.id, name: row.name }]));
}
