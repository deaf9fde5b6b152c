import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { DocumentFormat } from '../../ingest/document-content.js';
import type { Extraction } from '../../model.js';
import type { ChunkExtraction, DocumentExtraction } from '../../resolve/resolve-entities.js';

/** A document as its ingestion reads it. */
export interface DocumentSource {
  readonly id: string;
  readonly title: string;
  readonly format: DocumentFormat;
  readonly text: string;
  /** The file that the text is yet to be read from. */
  readonly source: Uint8Array | null;
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
  /** Page that the passage begins on, from 1; null where there are no pages. */
  readonly page: number | null;
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
  /** What a costly extractor found on an earlier attempt, or in the same passage of an earlier version. */
  readonly extraction: Extraction | null;
}

export async function readSources(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<Map<string, DocumentSource>> {
  const rows = await sql.query<DocumentSource>(
    `SELECT id, title, format, content AS text, source, attributes FROM documents
     WHERE tenant_id = $1 AND id = ANY($2::uuid[])`,
    [tenantId, documentIds],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Keeps what was read out of a file in place of the file. A title given with the upload stays. */
export async function writeReadDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  documents: readonly { id: string; text: string; title: string }[],
): Promise<void> {
  if (documents.length === 0) return;
  await sql.query(
    `UPDATE documents SET content = r.text, title = r.title, source = NULL, updated_at = now()
     FROM jsonb_to_recordset($2::jsonb) AS r(id uuid, text text, title text)
     WHERE documents.tenant_id = $1 AND documents.id = r.id`,
    [tenantId, JSON.stringify(documents)],
  );
}

/**
 * Gives passages that stand unchanged in the published document they replace what was computed for it: the
 * embedding, if it is of the same model, and what the same extractor found, where that is kept. Returns the
 * number of passages by document.
 */
export async function reuseUnchanged(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  by: { extractor: string; embeddingModel: string },
): Promise<Map<string, number>> {
  const rows = await sql.query<{ document_id: string; reused: number }>(
    `WITH unchanged AS (
       SELECT DISTINCT ON (n.id) n.id, o.embedding,
         CASE WHEN o.extracted_by = $3 THEN o.extraction END AS extraction
       FROM documents d
       JOIN documents old ON old.tenant_id = $1 AND old.id = ANY(d.replaces) AND old.state = 'ready'
         AND old.title = d.title AND old.cost->>'embeddingModel' = $4
       JOIN chunks o ON o.tenant_id = $1 AND o.document_id = old.id
       JOIN chunks n ON n.tenant_id = $1 AND n.document_id = d.id AND n.content = o.content
         AND n.headings = o.headings
       WHERE d.tenant_id = $1 AND d.id = ANY($2::uuid[]) AND d.replaces <> '{}'
       ORDER BY n.id, o.id),
     reused AS (
       UPDATE chunks SET embedding = unchanged.embedding, extraction = unchanged.extraction,
         extracted_by = CASE WHEN unchanged.extraction IS NOT NULL THEN $3 END
       FROM unchanged WHERE chunks.tenant_id = $1 AND chunks.id = unchanged.id
       RETURNING chunks.document_id)
     SELECT document_id, count(*)::integer AS reused FROM reused GROUP BY document_id`,
    [tenantId, documentIds, by.extractor, by.embeddingModel],
  );
  return new Map(rows.map((row) => [row.document_id, row.reused]));
}

/** Keeps what a costly extractor found, so that nothing asks it twice. */
export async function keepExtractions(
  sql: SqlClient,
  tenantId: TenantId,
  found: readonly { chunkId: string; extraction: Extraction; by: string }[],
): Promise<void> {
  await sql.query(
    `UPDATE chunks SET extraction = x.extraction, extracted_by = x.by
     FROM jsonb_to_recordset($2::jsonb) AS x("chunkId" uuid, extraction jsonb, by text)
     WHERE chunks.tenant_id = $1 AND chunks.id = x."chunkId"`,
    [tenantId, JSON.stringify(found)],
  );
}

/** Stores passages that are not there yet. */
export async function insertChunks(
  sql: SqlClient,
  tenantId: TenantId,
  chunks: readonly ChunkRow[],
): Promise<void> {
  await sql.query(
    `INSERT INTO chunks
       (tenant_id, id, document_id, ordinal, headings, content, start_offset, end_offset, token_count, terms,
        page)
     SELECT $1, c.id, c."documentId", c.ordinal, ARRAY(SELECT jsonb_array_elements_text(c.headings)), c.text,
       c.start, c."end", c.tokens, c.terms, c.page
     FROM jsonb_to_recordset($2::jsonb) AS c(
       id uuid, "documentId" uuid, ordinal integer, headings jsonb, text text, start integer, "end" integer,
       tokens integer, terms text, page integer)
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
       c.content AS text, c.extraction
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

/** Passages without an embedding, how many of them and after them have none, and how many passages there are. */
export interface UnembeddedPassages {
  readonly chunks: readonly Omit<StoredChunk, 'extraction'>[];
  readonly left: number;
  readonly total: number;
}

/** The first passages of the documents, or the first after `after`, that have no embedding yet. */
export async function readUnembedded(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
  limit: number,
  after?: { documentId: string; ordinal: number },
): Promise<UnembeddedPassages> {
  const [counts] = await sql.query<{ left: number; total: number }>(
    `SELECT count(*)::integer AS total,
       count(*) FILTER (WHERE embedding IS NULL
         AND ($3::uuid IS NULL OR (document_id, ordinal) > ($3, $4::integer)))::integer AS left
     FROM chunks WHERE tenant_id = $1 AND document_id = ANY($2::uuid[])`,
    [tenantId, documentIds, after?.documentId ?? null, after?.ordinal ?? null],
  );
  const chunks = await sql.query<Omit<StoredChunk, 'extraction'>>(
    `SELECT c.id, c.document_id AS "documentId", d.title AS "documentTitle", c.ordinal, c.headings,
       c.content AS text
     FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
     WHERE c.tenant_id = $1 AND c.document_id = ANY($2::uuid[]) AND c.embedding IS NULL
       AND ($4::uuid IS NULL OR (c.document_id, c.ordinal) > ($4, $5::integer))
     ORDER BY c.document_id, c.ordinal LIMIT $3`,
    [tenantId, documentIds, limit, after?.documentId ?? null, after?.ordinal ?? null],
  );
  return { chunks, left: counts!.left, total: counts!.total };
}

/** Stores embeddings where there is none, and returns the tokens of those it stored by document. */
export async function writeEmbeddings(
  sql: SqlClient,
  tenantId: TenantId,
  embeddings: readonly { chunkId: string; vector: Float32Array }[],
): Promise<Map<string, number>> {
  const rows = await sql.query<{ document_id: string; tokens: number }>(
    `WITH stored AS (
       UPDATE chunks SET embedding = e.vector::vector
       FROM unnest($2::uuid[], $3::text[]) AS e(id, vector)
       WHERE chunks.tenant_id = $1 AND chunks.id = e.id AND chunks.embedding IS NULL
       RETURNING chunks.document_id, chunks.token_count)
     SELECT document_id, sum(token_count)::integer AS tokens FROM stored GROUP BY document_id`,
    [
      tenantId,
      embeddings.map((embedding) => embedding.chunkId),
      embeddings.map((embedding) => toVectorText(embedding.vector)),
    ],
  );
  return new Map(rows.map((row) => [row.document_id, row.tokens]));
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
         (SELECT count(DISTINCT m.node_id) FROM node_mentions m
          WHERE m.tenant_id = $1 AND m.document_id = j.subject_id)::integer AS entities,
         (SELECT count(DISTINCT v.edge_id) FROM edge_evidence v
          WHERE v.tenant_id = $1 AND v.document_id = j.subject_id)::integer AS relations
       FROM jobs j WHERE j.tenant_id = $1 AND j.id = ANY($2::uuid[])),
     done AS (
       UPDATE jobs SET cost = cost || $3::jsonb, state = 'completed', payload = '{}', finished_at = now(), updated_at = now(),
         result = jsonb_build_object('documentId', counted.document_id, 'chunks', counted.chunks,
           'entities', counted.entities, 'relations', counted.relations)
       FROM counted WHERE jobs.tenant_id = $1 AND jobs.id = counted.job_id
       RETURNING jobs.subject_id, jobs.cost)
     UPDATE documents SET state = 'ready', error = NULL, updated_at = now(), chunk_count = counted.chunks,
       entity_count = counted.entities, relation_count = counted.relations,
       cost = done.cost
     FROM counted JOIN done ON done.subject_id = counted.document_id
     WHERE documents.tenant_id = $1 AND documents.id = counted.document_id`,
    [tenantId, jobIds, JSON.stringify(cost)],
  );
}
