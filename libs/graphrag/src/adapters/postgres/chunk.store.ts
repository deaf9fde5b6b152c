import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { DocumentFormat } from '../../ingest/document-content.js';
import type { ChunkExtraction, DocumentExtraction } from '../../ingest/resolve-entities.js';

/** A document as its ingestion reads it. */
export interface DocumentSource {
  readonly id: string;
  readonly title: string;
  readonly format: DocumentFormat;
  readonly text: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface ChunkRow {
  readonly id: string;
  readonly documentId: string;
  readonly ordinal: number;
  readonly headings: readonly string[];
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly tokens: number;
  /** Search terms, space-separated. */
  readonly terms: string;
}

export interface StoredChunk {
  readonly id: string;
  readonly documentId: string;
  readonly documentTitle: string;
  readonly ordinal: number;
  readonly headings: readonly string[];
  readonly text: string;
}

export async function readSources(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<Map<string, DocumentSource>> {
  const rows = await sql.query<DocumentSource>(
    `SELECT id, title, format, content AS text, attributes FROM documents
     WHERE tenant_id = $1 AND id = ANY($2::uuid[])`,
    [tenantId, documentIds],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Stores passages that are not there yet. */
export async function insertChunks(
  sql: SqlClient,
  tenantId: TenantId,
  chunks: readonly ChunkRow[],
): Promise<void> {
  await sql.query(
    `INSERT INTO chunks
       (tenant_id, id, document_id, ordinal, headings, content, start_offset, end_offset, token_count, terms)
     SELECT $1, c.id, c."documentId", c.ordinal, ARRAY(SELECT jsonb_array_elements_text(c.headings)), c.text,
       c.start, c."end", c.tokens, c.terms
     FROM jsonb_to_recordset($2::jsonb) AS c(
       id uuid, "documentId" uuid, ordinal integer, headings jsonb, text text, start integer, "end" integer,
       tokens integer, terms text)
     ON CONFLICT DO NOTHING`,
    [tenantId, JSON.stringify(chunks)],
  );
}

/** All passages of the documents, in order. */
export async function readChunks(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<StoredChunk[]> {
  return sql.query<StoredChunk>(
    `SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.ordinal, c.headings,
       c.content AS text
     FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND c.document_id = ANY($2::uuid[])
     ORDER BY c.document_id, c.ordinal`,
    [tenantId, documentIds],
  );
}

/** Keeps what was extracted with the job, until the document is published. */
export async function writeExtractions(
  sql: SqlClient,
  tenantId: TenantId,
  extractions: readonly { jobId: string; chunks: readonly ChunkExtraction[] }[],
): Promise<void> {
  await sql.query(
    `UPDATE jobs SET payload = jsonb_build_object('chunks', x.chunks)
     FROM jsonb_to_recordset($2::jsonb) AS x("jobId" uuid, chunks jsonb)
     WHERE jobs.tenant_id = $1 AND jobs.id = x."jobId"`,
    [tenantId, JSON.stringify(extractions)],
  );
}

/** What was extracted for the jobs, in the order of `jobIds`. */
export async function readExtractions(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
): Promise<DocumentExtraction[]> {
  return sql.query<{ documentId: string; chunks: ChunkExtraction[] }>(
    `SELECT subject_id AS "documentId", payload->'chunks' AS chunks FROM jobs
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY array_position($2::uuid[], id)`,
    [tenantId, jobIds],
  );
}

/** The first passages of the documents that have no embedding yet, and how many there are in all. */
export async function readUnembedded(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  limit: number,
): Promise<{ chunks: StoredChunk[]; left: number; total: number }> {
  const [counts] = await sql.query<{ left: number; total: number }>(
    `SELECT count(*) FILTER (WHERE embedding IS NULL)::integer AS left, count(*)::integer AS total
     FROM chunks WHERE tenant_id = $1 AND document_id = ANY($2::uuid[])`,
    [tenantId, documentIds],
  );
  const chunks = await sql.query<StoredChunk>(
    `SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.ordinal, c.headings,
       c.content AS text
     FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND c.document_id = ANY($2::uuid[]) AND c.embedding IS NULL
     ORDER BY c.document_id, c.ordinal LIMIT $3`,
    [tenantId, documentIds, limit],
  );
  return { chunks, left: counts!.left, total: counts!.total };
}

/** Stores embeddings where there is none. */
export async function writeEmbeddings(
  sql: SqlClient,
  tenantId: TenantId,
  embeddings: readonly { chunkId: string; vector: Float32Array }[],
): Promise<void> {
  await sql.query(
    `UPDATE chunks SET embedding = e.vector::vector
     FROM unnest($2::uuid[], $3::text[]) AS e(id, vector)
     WHERE chunks.tenant_id = $1 AND chunks.id = e.id AND chunks.embedding IS NULL`,
    [
      tenantId,
      embeddings.map((embedding) => embedding.chunkId),
      embeddings.map((embedding) => toVectorText(embedding.vector)),
    ],
  );
}

/** pgvector's text form. */
export function toVectorText(vector: Float32Array): string {
  return `[${vector.join(',')}]`;
}

/** Makes documents ready and their jobs completed, with what came of them. */
export async function publishDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
  cost: Readonly<Record<string, unknown>>,
): Promise<void> {
  await sql.query(
    `WITH counted AS (
       SELECT j.id AS job_id, j.subject_id AS document_id,
         (SELECT count(*) FROM chunks c
          WHERE c.tenant_id = $1 AND c.document_id = j.subject_id)::integer AS chunks,
         (SELECT coalesce(sum(c.token_count), 0) FROM chunks c
          WHERE c.tenant_id = $1 AND c.document_id = j.subject_id)::integer AS tokens,
         (SELECT count(DISTINCT m.node_id) FROM node_mentions m
          WHERE m.tenant_id = $1 AND m.document_id = j.subject_id)::integer AS entities,
         (SELECT count(DISTINCT v.edge_id) FROM edge_evidence v
          WHERE v.tenant_id = $1 AND v.document_id = j.subject_id)::integer AS relations
       FROM jobs j WHERE j.tenant_id = $1 AND j.id = ANY($2::uuid[])),
     done AS (
       UPDATE jobs SET state = 'completed', payload = '{}', finished_at = now(), updated_at = now(),
         result = jsonb_build_object('documentId', counted.document_id, 'chunks', counted.chunks,
           'entities', counted.entities, 'relations', counted.relations)
       FROM counted WHERE jobs.tenant_id = $1 AND jobs.id = counted.job_id)
     UPDATE documents SET state = 'ready', error = NULL, updated_at = now(), chunk_count = counted.chunks,
       entity_count = counted.entities, relation_count = counted.relations,
       cost = $3::jsonb || jsonb_build_object('embeddedTokens', counted.tokens)
     FROM counted WHERE documents.tenant_id = $1 AND documents.id = counted.document_id`,
    [tenantId, jobIds, JSON.stringify(cost)],
  );
}
