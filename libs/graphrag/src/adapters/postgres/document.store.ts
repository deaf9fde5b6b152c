import type { SqlClient, TenantId } from '@sparkle/contracts';
import type { DocumentFormat } from '../../ingest/document-content.js';

export type DocumentState = 'queued' | 'processing' | 'ready' | 'failed' | 'deleting';

/** Why a document or a job failed. */
export interface RecordedError {
  readonly code: string;
  readonly message: string;
}

/** A document without its text. Times are milliseconds since the Unix epoch. */
export interface DocumentView {
  readonly id: string;
  readonly title: string;
  readonly format: DocumentFormat;
  readonly bytes: number;
  readonly state: DocumentState;
  /** Last finished ingestion step. */
  readonly step: string | null;
  readonly error: RecordedError | null;
  readonly chunks: number;
  readonly entities: number;
  readonly relations: number;
  readonly cost: Readonly<Record<string, unknown>>;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

interface DocumentRow {
  id: string;
  title: string;
  format: DocumentFormat;
  byte_size: number;
  state: DocumentState;
  step: string | null;
  error: RecordedError | null;
  chunk_count: number;
  entity_count: number;
  relation_count: number;
  cost: Record<string, unknown>;
  created_by: string;
  created_at: Date;
  updated_at: Date;
}

export interface NewDocument {
  readonly id: string;
  readonly title: string;
  readonly format: DocumentFormat;
  readonly text: string;
  /** The file that the text is yet to be read from. */
  readonly source: Uint8Array | null;
  readonly hash: string;
  readonly bytes: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdBy: string;
  /** Documents that leave the corpus when this one is published. */
  readonly replaces: readonly string[];
}

const VIEW = `id, title, format, byte_size, state, step, error, chunk_count, entity_count, relation_count, cost,
  created_by, created_at, updated_at`;

/** Inserts documents that are not there yet and returns the ids of those it inserted. */
export async function insertDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  documents: readonly NewDocument[],
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }>(
    `INSERT INTO documents
       (tenant_id, id, title, format, content, source, content_hash, byte_size, attributes, created_by, replaces)
     SELECT $1, d.id, d.title, d.format, d.text, decode(d.source, 'base64'), d.hash, d.bytes, d.attributes,
       d."createdBy", ARRAY(SELECT jsonb_array_elements_text(d.replaces))::uuid[]
     FROM jsonb_to_recordset($2::jsonb) AS d(
       id uuid, title text, format text, text text, source text, hash text, bytes integer, attributes jsonb,
       "createdBy" text, replaces jsonb)
     ORDER BY d.id
     ON CONFLICT DO NOTHING
     RETURNING id`,
    [
      tenantId,
      JSON.stringify(
        documents.map((document) => ({
          ...document,
          source: document.source && Buffer.from(document.source).toString('base64'),
        })),
      ),
    ],
  );
  return new Set(rows.map((row) => row.id));
}

/** What a tenant keeps, without the documents in `except`. */
export async function readUsage(
  sql: SqlClient,
  tenantId: TenantId,
  except: readonly string[],
): Promise<{ documents: number; bytes: number }> {
  const [row] = await sql.query<{ documents: string; bytes: string }>(
    `SELECT count(*) AS documents, coalesce(sum(byte_size), 0) AS bytes FROM documents
     WHERE tenant_id = $1 AND NOT id = ANY($2::uuid[])`,
    [tenantId, except],
  );
  return { documents: Number(row!.documents), bytes: Number(row!.bytes) };
}

/** Lets one transaction at a time add to what a tenant keeps, so that a quota is exact. */
export async function lockUsage(sql: SqlClient, tenantId: TenantId): Promise<void> {
  await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`documents:${tenantId}`]);
}

/** A document that another is to replace, with those it was itself to replace. */
export interface ReplaceableDocument {
  readonly id: string;
  readonly title: string;
  readonly state: DocumentState;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly replaces: readonly string[];
}

export async function findReplaceable(
  sql: SqlClient,
  tenantId: TenantId,
  id: string,
): Promise<(ReplaceableDocument & { format: DocumentFormat; text: string }) | undefined> {
  const [row] = await sql.query<ReplaceableDocument & { format: DocumentFormat; text: string }>(
    `SELECT id, title, format, content AS text, state, attributes, replaces FROM documents
     WHERE tenant_id = $1 AND id = $2 FOR UPDATE`,
    [tenantId, id],
  );
  return row;
}

/** Documents on their way in that are to replace the document. */
export async function findReplacements(
  sql: SqlClient,
  tenantId: TenantId,
  id: string,
): Promise<ReplaceableDocument[]> {
  return sql.query<ReplaceableDocument>(
    `SELECT id, title, state, attributes, replaces FROM documents
     WHERE tenant_id = $1 AND replaces @> ARRAY[$2::uuid] AND replaces <> '{}' ORDER BY id`,
    [tenantId, id],
  );
}

export async function addReplaced(
  sql: SqlClient,
  tenantId: TenantId,
  id: string,
  replaced: readonly string[],
): Promise<void> {
  await sql.query(
    `UPDATE documents SET replaces = ARRAY(
       SELECT DISTINCT r FROM unnest(replaces || $3::uuid[]) AS r WHERE r <> id ORDER BY r)
     WHERE tenant_id = $1 AND id = $2`,
    [tenantId, id, replaced],
  );
}

/** Lets a document stay that another one was to replace. */
export async function keepDocument(sql: SqlClient, tenantId: TenantId, id: string): Promise<void> {
  await sql.query(
    `UPDATE documents SET replaces = array_remove(replaces, $2::uuid)
     WHERE tenant_id = $1 AND replaces @> ARRAY[$2::uuid] AND replaces <> '{}'`,
    [tenantId, id],
  );
}

/** Which documents those that are being published replace. They are not asked again. */
export async function takeReplaced(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<string[]> {
  const rows = await sql.query<{ replaces: string[] }>(
    `SELECT replaces FROM documents WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND replaces <> '{}'`,
    [tenantId, documentIds],
  );
  if (rows.length > 0)
    await sql.query(
      `UPDATE documents SET replaces = '{}' WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND replaces <> '{}'`,
      [tenantId, documentIds],
    );
  return [...new Set(rows.flatMap((row) => row.replaces))].sort();
}

/** Whether the tenant is registered. */
export async function tenantExists(sql: SqlClient, tenantId: TenantId): Promise<boolean> {
  return (await sql.query('SELECT 1 FROM tenants WHERE id = $1', [tenantId])).length > 0;
}

export async function findDocument(
  sql: SqlClient,
  tenantId: TenantId,
  id: string,
): Promise<DocumentView | undefined> {
  const [row] = await sql.query<DocumentRow>(
    `SELECT ${VIEW} FROM documents WHERE tenant_id = $1 AND id = $2`,
    [tenantId, id],
  );
  return row && toView(row);
}

/** Newest first. `before` is the last row of the page before. */
export async function listDocuments(
  sql: SqlClient,
  tenantId: TenantId,
  limit: number,
  before?: { createdAt: number; id: string },
): Promise<DocumentView[]> {
  const rows = await sql.query<DocumentRow>(
    `SELECT ${VIEW} FROM documents
     WHERE tenant_id = $1
       AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
     ORDER BY created_at DESC, id DESC
     LIMIT $4`,
    [tenantId, before ? new Date(before.createdAt) : null, before?.id ?? null, limit],
  );
  return rows.map(toView);
}

function toView(row: DocumentRow): DocumentView {
  return {
    id: row.id,
    title: row.title,
    format: row.format,
    bytes: row.byte_size,
    state: row.state,
    step: row.step,
    error: row.error,
    chunks: row.chunk_count,
    entities: row.entity_count,
    relations: row.relation_count,
    cost: row.cost,
    createdBy: row.created_by,
    createdAt: row.created_at.getTime(),
    updatedAt: row.updated_at.getTime(),
  };
}
