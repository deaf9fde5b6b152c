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
  readonly hash: string;
  readonly bytes: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdBy: string;
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
       (tenant_id, id, title, format, content, content_hash, byte_size, attributes, created_by)
     SELECT $1, d.id, d.title, d.format, d.text, d.hash, d.bytes, d.attributes, d."createdBy"
     FROM jsonb_to_recordset($2::jsonb) AS d(
       id uuid, title text, format text, text text, hash text, bytes integer, attributes jsonb, "createdBy" text)
     ORDER BY d.id
     ON CONFLICT DO NOTHING
     RETURNING id`,
    [tenantId, JSON.stringify(documents)],
  );
  return new Set(rows.map((row) => row.id));
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
    // Milliseconds are what a caller can hand back, so the page's edge is compared in milliseconds too.
    `SELECT ${VIEW} FROM documents
     WHERE tenant_id = $1
       AND ($2::timestamptz IS NULL OR (date_trunc('milliseconds', created_at), id) < ($2, $3::uuid))
     ORDER BY date_trunc('milliseconds', created_at) DESC, id DESC
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
