import type { SqlClient, SystemDatabase, TenantId } from '@sparkle/contracts';
import type { CommunityRows } from '../../communities/community-graph.js';
import { toVectorText } from './chunk.store.js';
import { insertRows } from './graph-rows.js';

const PUBLISHED = `SELECT id FROM documents WHERE tenant_id = $1 AND state = 'ready'`;

/** What a tenant's documents show, without texts, in order of ids. */
export async function readCommunityRows(sql: SqlClient, tenantId: TenantId): Promise<CommunityRows> {
  const chunks = await sql.query<CommunityRows['chunks'][number]>(
    `SELECT id, document_id AS "documentId" FROM chunks
     WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) ORDER BY id`,
    [tenantId],
  );
  const mentions = await sql.query<CommunityRows['mentions'][number]>(
    `SELECT node_id AS "nodeId", chunk_id AS "chunkId", count FROM node_mentions
     WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) ORDER BY node_id, chunk_id`,
    [tenantId],
  );
  const edges = await sql.query<CommunityRows['edges'][number]>(
    `SELECT e.id, e.source_id AS "sourceId", e.target_id AS "targetId", s.weight
     FROM knowledge_edges e JOIN (
       SELECT edge_id, (count(*) * max(confidence))::float8 AS weight FROM edge_evidence
       WHERE tenant_id = $1 AND document_id IN (${PUBLISHED}) GROUP BY edge_id) s ON s.edge_id = e.id
     WHERE e.tenant_id = $1 ORDER BY e.id`,
    [tenantId],
  );
  const nodes = await sql.query<CommunityRows['nodes'][number]>(
    `SELECT id, name FROM knowledge_nodes WHERE tenant_id = $1 AND id IN (
       SELECT node_id FROM node_mentions WHERE tenant_id = $1 AND document_id IN (${PUBLISHED})) ORDER BY id`,
    [tenantId],
  );
  return { nodes, chunks, mentions, edges };
}

/** How far a tenant's communities are. */
export interface CommunityState {
  /** The corpus version they show. */
  readonly version: number;
  /** Counts refreshes. */
  readonly generation: number;
  /** Vertices that came or left since all communities were found anew. */
  readonly drift: number;
}

export async function readCommunityState(
  sql: SqlClient,
  tenantId: TenantId,
): Promise<CommunityState | undefined> {
  const [row] = await sql.query<{ version: string; generation: string; drift: number }>(
    'SELECT version, generation, drift FROM community_states WHERE tenant_id = $1',
    [tenantId],
  );
  return row && { version: Number(row.version), generation: Number(row.generation), drift: row.drift };
}

export interface StoredCommunity {
  readonly id: string;
  readonly level: 0 | 1;
  readonly parentId: string | null;
}

export async function readCommunities(
  sql: SqlClient,
  tenantId: TenantId,
): Promise<{ communities: StoredCommunity[]; members: { memberId: string; communityId: string }[] }> {
  return {
    communities: await sql.query<StoredCommunity>(
      'SELECT id, level, parent_id AS "parentId" FROM communities WHERE tenant_id = $1 ORDER BY id',
      [tenantId],
    ),
    members: await sql.query<{ memberId: string; communityId: string }>(
      `SELECT member_id AS "memberId", community_id AS "communityId" FROM community_members
       WHERE tenant_id = $1 ORDER BY member_id`,
      [tenantId],
    ),
  };
}

/** A community as it was found, before it is summarised. */
export interface FoundCommunity extends StoredCommunity {
  readonly title: string;
  readonly nodeCount: number;
  readonly chunkCount: number;
  readonly documentCount: number;
  readonly contentHash: string;
}

export interface CommunityMember {
  readonly memberId: string;
  readonly kind: 'node' | 'chunk';
  readonly communityId: string;
}

/**
 * Replaces a tenant's communities by those found in a newer version; summaries stay until they are made anew.
 * @returns false when somebody else wrote this version, or a newer one, before.
 */
export async function replaceCommunities(
  sql: SqlClient,
  tenantId: TenantId,
  found: {
    readonly communities: readonly FoundCommunity[];
    readonly members: readonly CommunityMember[];
    readonly version: number;
    readonly generation: number;
    readonly drift: number;
  },
): Promise<boolean> {
  const claimed = await sql.query(
    `INSERT INTO community_states AS s (tenant_id, version, generation, drift) VALUES ($1, $2, $3, $4)
     ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, generation = excluded.generation,
       drift = excluded.drift, refreshed_at = now()
     WHERE s.version < excluded.version AND s.generation < excluded.generation
     RETURNING 1`,
    [tenantId, found.version, found.generation, found.drift],
  );
  if (claimed.length === 0) return false;
  await sql.query('DELETE FROM community_members WHERE tenant_id = $1', [tenantId]);
  await sql.query('DELETE FROM communities WHERE tenant_id = $1 AND NOT id = ANY($2::uuid[])', [
    tenantId,
    found.communities.map(({ id }) => id),
  ]);
  await insertRows(
    sql,
    tenantId,
    found.communities,
    `INSERT INTO communities
       (tenant_id, id, level, parent_id, title, node_count, chunk_count, document_count, content_hash)
     SELECT $1, c.id, c.level, c."parentId", c.title, c."nodeCount", c."chunkCount", c."documentCount",
       c."contentHash"
     FROM jsonb_to_recordset($2::jsonb) AS c(id uuid, level smallint, "parentId" uuid, title text,
       "nodeCount" integer, "chunkCount" integer, "documentCount" integer, "contentHash" text)
     ON CONFLICT (tenant_id, id) DO UPDATE SET level = excluded.level, parent_id = excluded.parent_id,
       title = excluded.title, node_count = excluded.node_count, chunk_count = excluded.chunk_count,
       document_count = excluded.document_count, content_hash = excluded.content_hash, updated_at = now()`,
  );
  await insertRows(
    sql,
    tenantId,
    // A passage or node that was deleted in between is no member any more.
    found.members,
    `INSERT INTO community_members (tenant_id, member_id, kind, community_id)
     SELECT $1, m."memberId", m.kind, m."communityId"
     FROM jsonb_to_recordset($2::jsonb) AS m("memberId" uuid, kind text, "communityId" uuid)
     ON CONFLICT DO NOTHING`,
  );
  return true;
}

/** The next community that has changed since it was summarised; fine ones first, coarse ones rest on them. */
export async function nextPending(
  sql: SqlClient,
  tenantId: TenantId,
): Promise<{ id: string; level: 0 | 1; title: string; contentHash: string; chunkCount: number } | undefined> {
  const [row] = await sql.query<{
    id: string;
    level: 0 | 1;
    title: string;
    contentHash: string;
    chunkCount: number;
  }>(
    `SELECT id, level, title, content_hash AS "contentHash", chunk_count AS "chunkCount" FROM communities
     WHERE tenant_id = $1 AND summary_hash IS DISTINCT FROM content_hash
     ORDER BY level, chunk_count DESC, id LIMIT 1`,
    [tenantId],
  );
  return row;
}

/** Something a summary may say, and where it stands. */
export interface SummarySource {
  readonly text: string;
  readonly title?: string;
  readonly chunkIds: readonly string[];
  /** The passages whose writer could have known them, where these are more. */
  readonly basis?: readonly string[];
}

/** Statements between a fine community's nodes and its passages: the best of each document first. */
export async function readSources(
  sql: SqlClient,
  tenantId: TenantId,
  communityId: string,
  limit: number,
): Promise<{ statements: SummarySource[]; passages: SummarySource[] }> {
  const parameters = [tenantId, communityId, limit];
  const members = `SELECT member_id FROM community_members
    WHERE tenant_id = $1 AND community_id = $2`;
  const statements = await sql.query<{ text: string; chunkId: string; title: string }>(
    `SELECT * FROM (
       SELECT DISTINCT ON (v.statement) v.statement AS text, v.chunk_id AS "chunkId", d.title,
         e.weight * e.confidence AS strength,
         row_number() OVER (PARTITION BY v.document_id ORDER BY e.weight * e.confidence DESC, v.chunk_id) AS turn
       FROM knowledge_edges e
       JOIN edge_evidence v ON v.tenant_id = e.tenant_id AND v.edge_id = e.id
       JOIN documents d ON d.tenant_id = v.tenant_id AND d.id = v.document_id
       WHERE e.tenant_id = $1 AND e.source_id IN (${members}) AND e.target_id IN (${members})
         AND v.chunk_id IN (${members})
       ORDER BY v.statement, e.weight * e.confidence DESC, v.chunk_id) s
     ORDER BY turn, strength DESC, "chunkId", text LIMIT $3`,
    parameters,
  );
  const passages = await sql.query<{ text: string; chunkId: string; title: string }>(
    `SELECT c.content AS text, c.id AS "chunkId", d.title FROM (
       SELECT c.id, c.content, c.document_id,
         row_number() OVER (PARTITION BY c.document_id ORDER BY count(m.node_id) DESC, c.ordinal) AS turn,
         count(m.node_id) AS held
       FROM chunks c JOIN node_mentions m ON m.tenant_id = c.tenant_id AND m.chunk_id = c.id
       WHERE c.tenant_id = $1 AND c.id IN (${members}) AND m.node_id IN (${members})
       GROUP BY c.tenant_id, c.id) c
     JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
     ORDER BY c.turn, c.held DESC, c.id LIMIT $3`,
    parameters,
  );
  const toSource = ({ text, chunkId, title }: { text: string; chunkId: string; title: string }) => ({
    text,
    title,
    chunkIds: [chunkId],
  });
  return { statements: statements.map(toSource), passages: passages.map(toSource) };
}

/** One thing a summary says, with the passages that say it. */
export interface SummaryPoint {
  readonly text: string;
  readonly chunkIds: readonly string[];
  /** True when it stands so in one of them: then it gives away nothing of what else the model read. */
  readonly verbatim: boolean;
}

/** Sources that are all there: as many as the summary was made from. */
const COMPLETE = `c.source_count > 0 AND c.source_count = (SELECT count(*) FROM community_sources s
  WHERE s.tenant_id = $1 AND s.community_id = c.id)`;
const SOURCE_IDS = `ARRAY(SELECT s.chunk_id FROM community_sources s
  WHERE s.tenant_id = $1 AND s.community_id = c.id ORDER BY 1) AS "sourceIds"`;

/** The points of the communities within a coarse one, the greatest first; of those whose sources are all there. */
export async function readChildPoints(
  sql: SqlClient,
  tenantId: TenantId,
  parentId: string,
): Promise<{ title: string; points: SummaryPoint[]; sourceIds: string[] }[]> {
  return sql.query<{ title: string; points: SummaryPoint[]; sourceIds: string[] }>(
    `SELECT c.title, c.points, ${SOURCE_IDS} FROM communities c
     WHERE c.tenant_id = $1 AND c.parent_id = $2 AND ${COMPLETE}
     ORDER BY c.chunk_count DESC, c.id`,
    [tenantId, parentId],
  );
}

/**
 * Stores a summary of the community as it was read.
 * @returns false when the community has changed, or a passage was deleted, in the meantime.
 */
export async function writeSummary(
  sql: SqlClient,
  tenantId: TenantId,
  summary: {
    readonly id: string;
    readonly contentHash: string;
    readonly points: readonly SummaryPoint[];
    /** The passages the summary was made from. */
    readonly sourceIds: readonly string[];
    readonly model: string;
    readonly cost: Readonly<Record<string, number>>;
    readonly vector: Float32Array | undefined;
  },
): Promise<boolean> {
  const sourceIds = summary.points.length > 0 ? [...new Set(summary.sourceIds)] : [];
  const written = await sql.query(
    `UPDATE communities SET points = $4, summary_hash = content_hash, summary_model = $5, cost = $6,
       embedding = $7::vector, source_count = $8, updated_at = now()
     WHERE tenant_id = $1 AND id = $2 AND content_hash = $3 RETURNING 1`,
    [
      tenantId,
      summary.id,
      summary.contentHash,
      JSON.stringify(summary.points),
      summary.model,
      JSON.stringify(summary.cost),
      summary.vector ? toVectorText(summary.vector) : null,
      sourceIds.length,
    ],
  );
  if (written.length === 0) return false;
  await sql.query('DELETE FROM community_sources WHERE tenant_id = $1 AND community_id = $2', [
    tenantId,
    summary.id,
  ]);
  // A passage deleted just now leaves a source too few: the summary is withheld until the next refresh.
  await sql.query(
    `INSERT INTO community_sources (tenant_id, community_id, chunk_id)
     SELECT $1, $2, id FROM chunks WHERE tenant_id = $1 AND id = ANY($3::uuid[]) FOR KEY SHARE`,
    [tenantId, summary.id, sourceIds],
  );
  return true;
}

/** A community with its summary. */
export interface SummarisedCommunity {
  readonly id: string;
  readonly level: 0 | 1;
  readonly parentId: string | null;
  /** The most central nodes' names, between middle dots. */
  readonly title: string;
  readonly nodeCount: number;
  readonly chunkCount: number;
  readonly documentCount: number;
  readonly points: readonly SummaryPoint[];
  /** The passages the summary was made from. */
  readonly sourceIds: readonly string[];
  readonly embedding: Float32Array | undefined;
}

/** Communities that may be shown: all passages that their summaries rest on are there. */
export async function readServable(sql: SqlClient, tenantId: TenantId): Promise<SummarisedCommunity[]> {
  const rows = await sql.query<Omit<SummarisedCommunity, 'embedding'> & { embedding: string | null }>(
    `SELECT c.id, c.level, c.parent_id AS "parentId", c.title, c.node_count AS "nodeCount",
       c.chunk_count AS "chunkCount", c.document_count AS "documentCount", c.points,
       c.embedding::text AS embedding, ${SOURCE_IDS}
     FROM communities c WHERE c.tenant_id = $1 AND ${COMPLETE}
     ORDER BY c.level DESC, c.chunk_count DESC, c.id`,
    [tenantId],
  );
  return rows.map((row) => ({
    ...row,
    embedding: row.embedding === null ? undefined : Float32Array.from(JSON.parse(row.embedding) as number[]),
  }));
}

/** The passages that communities' points rest on: their documents, by id. */
export async function readPointDocuments(sql: SqlClient, tenantId: TenantId): Promise<Map<string, string>> {
  const rows = await sql.query<{ id: string; documentId: string }>(
    `SELECT DISTINCT c.id, c.document_id AS "documentId" FROM community_sources s
     JOIN chunks c ON c.tenant_id = s.tenant_id AND c.id = s.chunk_id WHERE s.tenant_id = $1`,
    [tenantId],
  );
  return new Map(rows.map(({ id, documentId }) => [id, documentId]));
}

/** Passages in full, as citations need them. */
export async function readCitedChunks(
  sql: SqlClient,
  tenantId: TenantId,
  chunkIds: readonly string[],
): Promise<
  {
    id: string;
    documentId: string;
    documentTitle: string;
    headings: string[];
    text: string;
    tokens: number;
  }[]
> {
  return sql.query(
    `SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.headings, c.content AS text,
       c.token_count AS tokens
     FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND d.state = 'ready'`,
    [tenantId, chunkIds],
  );
}

/** A tenant whose communities are behind its corpus. */
export interface DueCommunities {
  readonly tenantId: TenantId;
  readonly version: number;
}

/**
 * Tenants whose documents have changed since their communities were found, and have been quiet for `quietMs` or
 * waiting for `patienceMs`; and those with summaries to make, at their last refresh's age of `quietMs`.
 */
export async function findDue(
  system: SystemDatabase,
  wait: { readonly quietMs: number; readonly patienceMs: number },
  limit: number,
): Promise<DueCommunities[]> {
  const rows = await system.asSystem((sql) =>
    sql.query<{ tenantId: TenantId; version: string }>(
      `SELECT t.id AS "tenantId", t.corpus_version AS version
       FROM tenants t LEFT JOIN community_states s ON s.tenant_id = t.id
       LEFT JOIN graph_changes g ON g.tenant_id = t.id AND g.version = t.corpus_version
       WHERE (t.corpus_version > coalesce(s.version, 0)
           AND (g.created_at IS NULL OR g.created_at <= now() - $1 * interval '1 millisecond'
             OR s.refreshed_at <= now() - $2 * interval '1 millisecond'))
         OR (s.refreshed_at <= now() - $1 * interval '1 millisecond' AND EXISTS (
           SELECT 1 FROM communities c
           WHERE c.tenant_id = t.id AND c.summary_hash IS DISTINCT FROM c.content_hash))
       ORDER BY s.refreshed_at NULLS FIRST, t.id LIMIT $3`,
      [wait.quietMs, wait.patienceMs, limit],
    ),
  );
  return rows.map(({ tenantId, version }) => ({ tenantId, version: Number(version) }));
}
