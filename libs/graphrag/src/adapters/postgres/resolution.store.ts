import { randomUUID } from 'node:crypto';
import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { EntityType } from '../../model.js';
import { type Assignment, Decisions } from '../../resolve/decisions.js';
import {
  type OriginAlias,
  type OriginEvidence,
  type OriginMention,
  projectOrigins,
} from '../../resolve/project-origins.js';
import type { NodeSpec } from '../../resolve/resolve-entities.js';
import { recordChanges } from './corpus-version.js';
import { insertGraphRows } from './graph-rows.js';
import { forgetEmbeddings, removeUnstated } from './node-removal.js';

export type ResolutionKind = 'merge' | 'split' | 'undo';

/** One decision about which names are one entity, as the log has it. */
export interface EntityResolution {
  readonly id: string;
  /** Counts a tenant's decisions from 1, in the order they were taken. */
  readonly number: number;
  readonly kind: ResolutionKind;
  /** The user who decided, or `rule:` and the rule's name. */
  readonly actor: string;
  readonly reason: string;
  /** The nodes whose statements moved. */
  readonly sourceIds: readonly string[];
  /** The node they moved to. */
  readonly target: NodeSpec;
  /** What moved when it was decided. */
  readonly moved: { readonly documents: number; readonly mentions: number; readonly statements: number };
  /** The decision that an `undo` took back. */
  readonly undoes: string | null;
  /** The `undo` that took this decision back. */
  readonly undoneBy: string | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

const COLUMNS = `id, number::integer AS number, kind, actor, reason, source_ids AS "sourceIds", target, moved,
  undoes, undone_by AS "undoneBy", (extract(epoch FROM created_at) * 1000)::float8 AS "createdAt"`;

/** Newest first; of one node when `nodeId` is given. */
export async function listResolutions(
  sql: SqlClient,
  tenantId: TenantId,
  page: { limit: number; before?: number | undefined; nodeId?: string | undefined },
): Promise<EntityResolution[]> {
  return sql.query<EntityResolution>(
    `SELECT ${COLUMNS} FROM entity_resolutions
     WHERE tenant_id = $1 AND ($2::bigint IS NULL OR number < $2)
       AND ($3::uuid IS NULL OR target_id = $3 OR $3 = ANY(source_ids))
     ORDER BY number DESC LIMIT $4`,
    [tenantId, page.before ?? null, page.nodeId ?? null, page.limit],
  );
}

export async function findResolution(
  sql: SqlClient,
  tenantId: TenantId,
  id: string,
): Promise<EntityResolution | undefined> {
  const [row] = await sql.query<EntityResolution>(
    `SELECT ${COLUMNS} FROM entity_resolutions WHERE tenant_id = $1 AND id = $2`,
    [tenantId, id],
  );
  return row;
}

export interface NewResolution {
  readonly kind: ResolutionKind;
  readonly actor: string;
  readonly reason: string;
  readonly sourceIds: readonly string[];
  readonly target: NodeSpec;
  readonly moved?: EntityResolution['moved'];
  readonly undoes?: string;
}

/** Adds a decision to the log. Needs the graph's lock. */
export async function insertResolution(
  sql: SqlClient,
  tenantId: TenantId,
  resolution: NewResolution,
): Promise<string> {
  const id = randomUUID();
  await sql.query(
    `INSERT INTO entity_resolutions
       (tenant_id, id, number, kind, actor, reason, source_ids, target_id, target, moved, undoes)
     SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10
     FROM entity_resolutions WHERE tenant_id = $1`,
    [
      tenantId,
      id,
      resolution.kind,
      resolution.actor,
      resolution.reason,
      resolution.sourceIds,
      resolution.target.id,
      JSON.stringify(resolution.target),
      JSON.stringify(resolution.moved ?? { documents: 0, mentions: 0, statements: 0 }),
      resolution.undoes ?? null,
    ],
  );
  if (resolution.undoes !== undefined) {
    await sql.query('UPDATE entity_resolutions SET undone_by = $3 WHERE tenant_id = $1 AND id = $2', [
      tenantId,
      resolution.undoes,
      id,
    ]);
    await sql.query(
      'UPDATE entity_assignments SET active = false WHERE tenant_id = $1 AND resolution_id = $2',
      [tenantId, resolution.undoes],
    );
  }
  return id;
}

export interface NewAssignment {
  readonly nodeId: string;
  readonly documentId: string | null;
  readonly targetId: string;
  /** The document that gave a rule reason to decide: the decision goes with it. */
  readonly becauseOf: string | null;
}

export async function insertAssignments(
  sql: SqlClient,
  tenantId: TenantId,
  resolutionId: string,
  assignments: readonly NewAssignment[],
): Promise<void> {
  await sql.query(
    `INSERT INTO entity_assignments (tenant_id, resolution_id, node_id, document_id, target_id, because_of)
     SELECT $1, $2, a."nodeId", a."documentId", a."targetId", a."becauseOf"
     FROM jsonb_to_recordset($3::jsonb)
       AS a("nodeId" uuid, "documentId" uuid, "targetId" uuid, "becauseOf" uuid)
     ON CONFLICT DO NOTHING`,
    [tenantId, resolutionId, JSON.stringify(assignments)],
  );
}

/** What users decided about documents holds for the documents that replace them. */
export async function inheritAssignments(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<void> {
  await sql.query(
    `INSERT INTO entity_assignments (tenant_id, resolution_id, node_id, document_id, target_id, active)
     SELECT a.tenant_id, a.resolution_id, a.node_id, d.id, a.target_id, a.active
     FROM documents d JOIN entity_assignments a
       ON a.tenant_id = d.tenant_id AND a.document_id = ANY(d.replaces) AND a.because_of IS NULL
     WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) AND d.replaces <> '{}'
     ON CONFLICT DO NOTHING`,
    [tenantId, documentIds],
  );
}

/** The rule's decision in force with this source and target. */
export async function findRuleResolution(
  sql: SqlClient,
  tenantId: TenantId,
  kind: ResolutionKind,
  nodeId: string,
  targetId: string,
): Promise<string | undefined> {
  const [row] = await sql.query<{ id: string }>(
    `SELECT id FROM entity_resolutions
     WHERE tenant_id = $1 AND kind = $2 AND source_ids = ARRAY[$3::uuid] AND target_id = $4
       AND undone_by IS NULL
     ORDER BY actor LIKE 'rule:%', number LIMIT 1`,
    [tenantId, kind, nodeId, targetId],
  );
  return row?.id;
}

/** All decisions in force. */
export async function readDecisions(sql: SqlClient, tenantId: TenantId): Promise<Decisions> {
  return new Decisions(
    await sql.query<Assignment>(
      `SELECT DISTINCT r.number::integer AS number, a.node_id AS "nodeId", a.document_id AS "documentId",
         a.target_id AS "targetId"
       FROM entity_assignments a
       JOIN entity_resolutions r ON r.tenant_id = a.tenant_id AND r.id = a.resolution_id
       WHERE a.tenant_id = $1 AND a.active`,
      [tenantId],
    ),
  );
}

/** Those of the nodes whose rows are kept as documents state them. */
export async function readTracked(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }>(
    'SELECT node_id AS id FROM tracked_entities WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])',
    [tenantId, nodeIds],
  );
  return new Set(rows.map(({ id }) => id));
}

/**
 * Begins to keep what documents state of nodes apart from what decisions make of it. Until now the two are the
 * same, so the visible rows are copied; those that touch a node kept already are there.
 */
export async function trackNodes(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<void> {
  const tracked = await readTracked(sql, tenantId, nodeIds);
  const fresh = [...new Set(nodeIds)].filter((id) => !tracked.has(id));
  if (fresh.length === 0) return;
  const parameters = [tenantId, fresh];
  await sql.query(
    `INSERT INTO origin_mentions (tenant_id, node_id, chunk_id, document_id, count)
     SELECT tenant_id, node_id, chunk_id, document_id, count FROM node_mentions
     WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])`,
    parameters,
  );
  await sql.query(
    `INSERT INTO origin_aliases (tenant_id, node_id, alias_key, alias, document_id)
     SELECT tenant_id, node_id, alias_key, alias, document_id FROM node_aliases
     WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])`,
    parameters,
  );
  await sql.query(
    `INSERT INTO origin_evidence
       (tenant_id, source_id, target_id, type, chunk_id, document_id, statement, confidence, attributes)
     SELECT $1, e.source_id, e.target_id, e.type, v.chunk_id, v.document_id, v.statement, v.confidence,
       CASE WHEN e.attributes->>'documentId' = v.document_id::text THEN e.attributes ELSE '{}' END
     FROM knowledge_edges e JOIN edge_evidence v ON v.tenant_id = e.tenant_id AND v.edge_id = e.id
     WHERE e.tenant_id = $1 AND (e.source_id = ANY($2::uuid[]) OR e.target_id = ANY($2::uuid[]))
       AND NOT EXISTS (SELECT 1 FROM tracked_entities t
         WHERE t.tenant_id = $1 AND t.node_id IN (e.source_id, e.target_id))`,
    parameters,
  );
  await sql.query(
    'INSERT INTO tracked_entities (tenant_id, node_id) SELECT $1, unnest($2::uuid[])',
    parameters,
  );
}

/** Ends keeping apart the nodes that no decision in force speaks of: their rows are the visible ones. */
async function untrackNodes(sql: SqlClient, tenantId: TenantId, nodeIds: readonly string[]): Promise<void> {
  const gone = await sql.query<{ id: string }>(
    `DELETE FROM tracked_entities t
     WHERE t.tenant_id = $1 AND t.node_id = ANY($2::uuid[])
       AND NOT EXISTS (SELECT 1 FROM entity_assignments a
         WHERE a.tenant_id = $1 AND a.active AND (a.node_id = t.node_id OR a.target_id = t.node_id))
     RETURNING t.node_id AS id`,
    [tenantId, nodeIds],
  );
  if (gone.length === 0) return;
  const parameters = [tenantId, gone.map(({ id }) => id)];
  await sql.query(
    'DELETE FROM origin_mentions WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])',
    parameters,
  );
  await sql.query(
    'DELETE FROM origin_aliases WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])',
    parameters,
  );
  await sql.query(
    `DELETE FROM origin_evidence o
     WHERE o.tenant_id = $1 AND (o.source_id = ANY($2::uuid[]) OR o.target_id = ANY($2::uuid[]))
       AND NOT EXISTS (SELECT 1 FROM tracked_entities t
         WHERE t.tenant_id = $1 AND t.node_id IN (o.source_id, o.target_id))`,
    parameters,
  );
}

const MENTION = `node_id AS "nodeId", chunk_id AS "chunkId", document_id AS "documentId", count`;
const ALIAS = `node_id AS "nodeId", alias_key AS "aliasKey", alias, document_id AS "documentId"`;
const EVIDENCE = `source_id AS "sourceId", target_id AS "targetId", type, chunk_id AS "chunkId",
  document_id AS "documentId", statement, confidence, attributes`;

/** Shows documents that were just written: what decisions make of what they state of tracked nodes. */
export async function projectDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<void> {
  const read = <Row extends object>(columns: string, table: string) =>
    sql.query<Row>(`SELECT ${columns} FROM ${table} WHERE tenant_id = $1 AND document_id = ANY($2::uuid[])`, [
      tenantId,
      documentIds,
    ]);
  await project(sql, tenantId, await readDecisions(sql, tenantId), {
    mentions: await read<OriginMention>(MENTION, 'origin_mentions'),
    aliases: await read<OriginAlias>(ALIAS, 'origin_aliases'),
    evidence: await read<OriginEvidence>(EVIDENCE, 'origin_evidence'),
  });
}

/**
 * Makes the visible rows of nodes, and of those that decisions connect with them, anew from what documents state.
 * Published documents whose part of the graph may look different now are recorded as changed.
 */
export async function reprojectNodes(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<void> {
  const decisions = await readDecisions(sql, tenantId);
  const component = [...decisions.connected(nodeIds)];
  const parameters = [tenantId, component];
  await sql.query('DELETE FROM node_mentions WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])', parameters);
  await sql.query('DELETE FROM node_aliases WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])', parameters);
  await sql.query(
    `DELETE FROM knowledge_edges
     WHERE tenant_id = $1 AND (source_id = ANY($2::uuid[]) OR target_id = ANY($2::uuid[]))`,
    parameters,
  );
  const ofNodes = <Row extends object>(columns: string, table: string) =>
    sql.query<Row>(
      `SELECT ${columns} FROM ${table} WHERE tenant_id = $1 AND node_id = ANY($2::uuid[])`,
      parameters,
    );
  const mentions = await ofNodes<OriginMention>(MENTION, 'origin_mentions');
  await project(sql, tenantId, decisions, {
    mentions,
    aliases: await ofNodes<OriginAlias>(ALIAS, 'origin_aliases'),
    evidence: await sql.query<OriginEvidence>(
      `SELECT ${EVIDENCE} FROM origin_evidence
       WHERE tenant_id = $1 AND (source_id = ANY($2::uuid[]) OR target_id = ANY($2::uuid[]))`,
      parameters,
    ),
  });
  await forgetEmbeddings(sql, tenantId, component);
  await untrackNodes(sql, tenantId, component);
  await removeUnstated(sql, tenantId, component);
  const published = await sql.query<{ id: string }>(
    `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready' AND id = ANY($2::uuid[]) ORDER BY id`,
    [tenantId, [...new Set(mentions.map(({ documentId }) => documentId))]],
  );
  await recordChanges(
    sql,
    tenantId,
    published.map(({ id }) => id),
    'changed',
  );
}

/**
 * Takes back what rules decided because of a document that is leaving: the decisions that no other document gives
 * reason for go from the log too, for their words are the document's.
 * @returns the nodes they were about.
 */
export async function forgetDecisionsOf(
  sql: SqlClient,
  tenantId: TenantId,
  documentId: string,
): Promise<string[]> {
  const rows = await sql.query<{ resolution_id: string; node_id: string; target_id: string }>(
    `DELETE FROM entity_assignments WHERE tenant_id = $1 AND because_of = $2
     RETURNING resolution_id, node_id, target_id`,
    [tenantId, documentId],
  );
  if (rows.length === 0) return [];
  await sql.query(
    `DELETE FROM entity_resolutions r
     WHERE r.tenant_id = $1 AND r.id = ANY($2::uuid[]) AND r.actor LIKE 'rule:%' AND r.undone_by IS NULL
       AND NOT EXISTS (SELECT 1 FROM entity_assignments a WHERE a.tenant_id = $1 AND a.resolution_id = r.id)`,
    [tenantId, rows.map((row) => row.resolution_id)],
  );
  return [...new Set(rows.flatMap((row) => [row.node_id, row.target_id]))];
}

async function project(
  sql: SqlClient,
  tenantId: TenantId,
  decisions: Decisions,
  rows: Parameters<typeof projectOrigins>[1],
): Promise<void> {
  const involved = new Set<string>();
  const place = (nodeId: string, documentId: string) =>
    involved.add(nodeId).add(decisions.nodeOf(nodeId, documentId));
  for (const { nodeId, documentId } of [...rows.mentions, ...rows.aliases]) place(nodeId, documentId);
  for (const { sourceId, targetId, documentId } of rows.evidence) {
    place(sourceId, documentId);
    place(targetId, documentId);
  }
  const nodes = await ensureTargets(sql, tenantId, [...involved]);
  await insertGraphRows(sql, tenantId, projectOrigins(tenantId, rows, decisions, nodes));
}

/** Nodes by id; those that decisions made and that nothing shows at present are made again. */
async function ensureTargets(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<Map<string, { key: string; name: string }>> {
  await sql.query(
    `INSERT INTO knowledge_nodes (tenant_id, id, key, name, type)
     SELECT DISTINCT ON (r.target_id) $1, r.target_id, r.target->>'key', r.target->>'name', r.target->>'type'
     FROM entity_resolutions r
     WHERE r.tenant_id = $1 AND r.target_id = ANY($2::uuid[]) AND r.kind <> 'undo' AND r.undone_by IS NULL
     ORDER BY r.target_id, r.number DESC
     ON CONFLICT DO NOTHING`,
    [tenantId, nodeIds],
  );
  const rows = await sql.query<{ id: string; key: string; name: string }>(
    'SELECT id, key, name FROM knowledge_nodes WHERE tenant_id = $1 AND id = ANY($2::uuid[])',
    [tenantId, nodeIds],
  );
  return new Map(rows.map(({ id, key, name }) => [id, { key, name }]));
}

/** Splits in force of nodes, and what rules decided about them and was taken back. */
export async function readSplits(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<{
  splits: { resolutionId: string; nodeId: string; target: NodeSpec }[];
  refused: Set<string>;
}> {
  const splits = await sql.query<{ resolutionId: string; nodeId: string; target: NodeSpec }>(
    `SELECT DISTINCT r.id AS "resolutionId", a.node_id AS "nodeId", r.target, r.number
     FROM entity_assignments a
     JOIN entity_resolutions r ON r.tenant_id = a.tenant_id AND r.id = a.resolution_id
     WHERE a.tenant_id = $1 AND a.active AND a.document_id IS NOT NULL AND a.node_id = ANY($2::uuid[])
     ORDER BY r.number`,
    [tenantId, nodeIds],
  );
  const refused = await sql.query<{ pair: string }>(
    `SELECT source_ids[1] || ' ' || target_id AS pair FROM entity_resolutions
     WHERE tenant_id = $1 AND undone_by IS NOT NULL AND actor LIKE 'rule:%'
       AND (source_ids && $2::uuid[] OR target_id = ANY($2::uuid[]))`,
    [tenantId, nodeIds],
  );
  return { splits, refused: new Set(refused.map(({ pair }) => pair)) };
}

/** The documents that mention a node, as decisions have made it. */
export async function readStatedDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  nodeId: string,
): Promise<{ documentId: string; mentions: number }[]> {
  return sql.query<{ documentId: string; mentions: number }>(
    `SELECT document_id AS "documentId", count(*)::integer AS mentions FROM node_mentions
     WHERE tenant_id = $1 AND node_id = $2 GROUP BY document_id ORDER BY document_id`,
    [tenantId, nodeId],
  );
}

/** Whether a node has the key, or a decision made one that nothing shows at present. */
export async function readKeysInUse(sql: SqlClient, tenantId: TenantId, key: string): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 FROM knowledge_nodes WHERE tenant_id = $1 AND key = $2
     UNION ALL
     SELECT 1 FROM entity_resolutions WHERE tenant_id = $1 AND target->>'key' = $2 LIMIT 1`,
    [tenantId, key],
  );
  return rows.length > 0;
}

export interface ResolvableNode extends NodeSpec {
  readonly claimed: boolean;
  readonly claimedByDocument: string | null;
  readonly mentions: number;
  readonly documents: number;
  readonly statements: number;
}

/** Nodes that something shows, with what shows them. */
export async function readResolvable(
  sql: SqlClient,
  tenantId: TenantId,
  nodeIds: readonly string[],
): Promise<ResolvableNode[]> {
  return sql.query<ResolvableNode & { type: EntityType }>(
    `SELECT n.id, n.key, n.name, n.type, n.attributes ? 'courseId' AS claimed,
       n.attributes->>'documentId' AS "claimedByDocument", m.mentions, m.documents,
       (SELECT count(*)::integer FROM knowledge_edges e JOIN edge_evidence v
          ON v.tenant_id = e.tenant_id AND v.edge_id = e.id
        WHERE e.tenant_id = $1 AND (e.source_id = n.id OR e.target_id = n.id)) AS statements
     FROM knowledge_nodes n CROSS JOIN LATERAL (
       SELECT count(*)::integer AS mentions, count(DISTINCT document_id)::integer AS documents
       FROM node_mentions WHERE tenant_id = $1 AND node_id = n.id) m
     WHERE n.tenant_id = $1 AND n.id = ANY($2::uuid[]) AND m.mentions > 0`,
    [tenantId, nodeIds],
  );
}
