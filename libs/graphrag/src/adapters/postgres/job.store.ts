import type { SqlClient, TenantId } from '@sparkle/contracts';
import { INGESTION_STEPS, type IngestionStep, progressAfter } from '../../ingest/ingestion-step.js';
import type { RecordedError } from './document.store.js';

export type JobState = 'queued' | 'running' | 'completed' | 'failed';

/** A job as its owner sees it. Times are milliseconds since the Unix epoch. */
export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  /** Last finished step. */
  readonly step: string | null;
  /** In `[0, 1]`. */
  readonly progress: number;
  readonly attempts: number;
  readonly error: RecordedError | null;
  /** What it took so far. */
  readonly cost: IngestionCost;
  readonly result: Readonly<Record<string, unknown>> | null;
  /** The document an ingestion reads. */
  readonly documentId: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
}

/** What an ingestion took; counts that are missing are zero. */
export interface IngestionCost {
  /** Ids of the extractor and of the embedding model, once the document is published. */
  readonly extractor?: string;
  readonly embeddingModel?: string;
  /** Calls of a chat model, with their tokens and price. */
  readonly modelCalls?: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly costUsd?: number;
  /** Tokens of the passages that were embedded. */
  readonly embeddedTokens?: number;
  /** Passages that stood in the version before and kept what was computed for it. */
  readonly reusedPassages?: number;
  /** Passages that a model was to extract from, and rules did. */
  readonly passagesByRules?: number;
  /**
   * By step: milliseconds of the attempt that finished it. Documents that are ingested together share a step's
   * time evenly.
   */
  readonly durationsMs?: Readonly<Partial<Record<IngestionStep, number>>>;
}

/** Counts of {@link IngestionCost} that grow. */
export type CostCounts = Pick<
  IngestionCost,
  | 'modelCalls'
  | 'inputTokens'
  | 'outputTokens'
  | 'costUsd'
  | 'embeddedTokens'
  | 'reusedPassages'
  | 'passagesByRules'
>;

/** A job on its way, as the pipeline needs it. */
export interface OpenJob {
  readonly id: string;
  readonly documentId: string;
  readonly step: IngestionStep | null;
}

interface JobRow {
  id: string;
  kind: string;
  state: JobState;
  step: string | null;
  progress: number;
  attempts: number;
  error: RecordedError | null;
  cost: IngestionCost;
  result: Record<string, unknown> | null;
  subject_id: string | null;
  created_at: Date;
  updated_at: Date;
  finished_at: Date | null;
}

const VIEW = `id, kind, state, step, progress, attempts, error, cost, result, subject_id, created_at, updated_at,
  finished_at`;

export async function insertJobs(
  sql: SqlClient,
  tenantId: TenantId,
  jobs: readonly { id: string; documentId: string }[],
): Promise<void> {
  await sql.query(
    `INSERT INTO jobs (tenant_id, id, kind, subject_id)
     SELECT $1, id, 'ingestion', document_id FROM unnest($2::uuid[], $3::uuid[]) AS j(id, document_id)`,
    [tenantId, jobs.map((job) => job.id), jobs.map((job) => job.documentId)],
  );
}

/**
 * Starts a failed document over with a new job that goes on where the failed one stopped. Returns false when
 * the document is not failed (any more).
 */
export async function reopenFailed(
  sql: SqlClient,
  tenantId: TenantId,
  documentId: string,
  jobId: string,
): Promise<boolean> {
  const reopened = await sql.query(
    `UPDATE documents SET state = 'queued', error = NULL, updated_at = now()
     WHERE tenant_id = $1 AND id = $2 AND state = 'failed' RETURNING id`,
    [tenantId, documentId],
  );
  if (reopened.length === 0) return false;
  await sql.query(
    `INSERT INTO jobs (tenant_id, id, kind, subject_id, step, progress, payload, cost)
     SELECT tenant_id, $3, kind, subject_id, step, progress, payload, cost FROM jobs
     WHERE tenant_id = $1 AND subject_id = $2 AND state = 'failed'
     ORDER BY created_at DESC, id LIMIT 1`,
    [tenantId, documentId, jobId],
  );
  return true;
}

/**
 * Sets a failed job and its document back to waiting; it goes on after its last step. Does nothing when the
 * document is not failed any more, or has a newer job.
 */
export async function reopenJob(sql: SqlClient, tenantId: TenantId, jobId: string): Promise<void> {
  await sql.query(
    `WITH mine AS (
       SELECT id, subject_id, created_at FROM jobs
       WHERE tenant_id = $1 AND id = $2 AND kind = 'ingestion' AND state = 'failed' FOR UPDATE),
     reopened AS (
       UPDATE documents SET state = 'queued', error = NULL, updated_at = now()
       FROM mine WHERE documents.tenant_id = $1 AND documents.id = mine.subject_id AND documents.state = 'failed'
         AND NOT EXISTS (
           SELECT FROM jobs newer WHERE newer.tenant_id = $1 AND newer.subject_id = mine.subject_id
             AND newer.created_at > mine.created_at)
       RETURNING documents.id)
     UPDATE jobs SET state = 'queued', error = NULL, finished_at = NULL, updated_at = now()
     FROM mine JOIN reopened ON reopened.id = mine.subject_id
     WHERE jobs.tenant_id = $1 AND jobs.id = mine.id`,
    [tenantId, jobId],
  );
}

export async function findJobs(
  sql: SqlClient,
  tenantId: TenantId,
  ids: readonly string[],
): Promise<Map<string, JobView>> {
  const rows = await sql.query<JobRow>(
    `SELECT ${VIEW} FROM jobs WHERE tenant_id = $1 AND id = ANY($2::uuid[])`,
    [tenantId, ids],
  );
  return new Map(rows.map((row) => [row.id, toView(row)]));
}

/** The newest job of each document. */
export async function newestJobs(
  sql: SqlClient,
  tenantId: TenantId,
  documentIds: readonly string[],
): Promise<Map<string, JobView>> {
  const rows = await sql.query<JobRow & { subject_id: string }>(
    `SELECT DISTINCT ON (subject_id) ${VIEW} FROM jobs
     WHERE tenant_id = $1 AND subject_id = ANY($2::uuid[])
     ORDER BY subject_id, created_at DESC, id`,
    [tenantId, documentIds],
  );
  return new Map(rows.map((row) => [row.subject_id, toView(row)]));
}

/** Marks queued and running jobs as running and counts the attempt. */
export async function startJobs(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
): Promise<void> {
  await sql.query(
    `WITH mine AS (
       SELECT id FROM jobs
       WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND kind = 'ingestion' AND state IN ('queued', 'running')
       ORDER BY id FOR UPDATE),
     started AS (
       UPDATE jobs SET state = 'running', attempts = attempts + 1, updated_at = now()
       FROM mine WHERE jobs.tenant_id = $1 AND jobs.id = mine.id RETURNING jobs.subject_id)
     UPDATE documents SET state = 'processing', updated_at = now()
     FROM started WHERE documents.tenant_id = $1 AND documents.id = started.subject_id
       AND documents.state = 'queued'`,
    [tenantId, jobIds],
  );
}

/** Those of the jobs that are running, in the order given. */
export async function openJobs(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
): Promise<OpenJob[]> {
  const rows = await sql.query<{ id: string; subject_id: string; step: string | null }>(
    `SELECT id, subject_id, step FROM jobs
     WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND kind = 'ingestion' AND state = 'running'
     ORDER BY array_position($2::uuid[], id)`,
    [tenantId, jobIds],
  );
  return rows.map((row) => ({
    id: row.id,
    documentId: row.subject_id,
    step: INGESTION_STEPS.find((step) => step === row.step) ?? null,
  }));
}

/**
 * Records `step` as finished on those jobs that stand right before it, and returns these; their rows stay
 * locked until the transaction ends. A job missing from the result was moved on, failed or deleted by
 * somebody else: the caller must not write anything for it.
 */
export async function claimStep(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
  step: IngestionStep,
): Promise<Set<string>> {
  const before = INGESTION_STEPS[INGESTION_STEPS.indexOf(step) - 1] ?? null;
  const rows = await sql.query<{ id: string }>(
    `WITH mine AS (
       SELECT id FROM jobs
       WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND state = 'running' AND step IS NOT DISTINCT FROM $3::text
       ORDER BY id FOR UPDATE),
     moved AS (
       UPDATE jobs SET step = $4, progress = $5, updated_at = now()
       FROM mine WHERE jobs.tenant_id = $1 AND jobs.id = mine.id RETURNING jobs.id, jobs.subject_id),
     shown AS (
       UPDATE documents SET step = $4, updated_at = now()
       FROM moved WHERE documents.tenant_id = $1 AND documents.id = moved.subject_id)
     SELECT id FROM moved`,
    [tenantId, jobIds, before, step, progressAfter(step)],
  );
  return new Set(rows.map((row) => row.id));
}

/** Records how long a step took each of the jobs. */
export async function writeDuration(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
  step: IngestionStep,
  durationMs: number,
): Promise<void> {
  await sql.query(
    `UPDATE jobs SET cost = jsonb_set(cost, '{durationsMs}',
       coalesce(cost->'durationsMs', '{}') || jsonb_build_object($3::text, $4::float8))
     WHERE tenant_id = $1 AND id = ANY($2::uuid[])`,
    [tenantId, jobIds, step, Math.round(durationMs * 10) / 10],
  );
}

/** Adds to what jobs cost. Locks the jobs' rows in order of their ids, as every writer of jobs does. */
export async function addCosts(
  sql: SqlClient,
  tenantId: TenantId,
  costs: readonly { jobId: string; counts: CostCounts }[],
): Promise<void> {
  if (costs.length === 0) return;
  await sql.query(
    `WITH added AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS a("jobId" uuid, counts jsonb)),
     mine AS (
       SELECT id FROM jobs WHERE tenant_id = $1 AND id IN (SELECT "jobId" FROM added) ORDER BY id FOR UPDATE)
     UPDATE jobs SET cost = jobs.cost || (
       SELECT jsonb_object_agg(c.key, coalesce((jobs.cost->>c.key)::float8, 0) + c.value::float8)
       FROM jsonb_each_text(added.counts) AS c)
     FROM mine JOIN added ON added."jobId" = mine.id
     WHERE jobs.tenant_id = $1 AND jobs.id = mine.id AND added.counts <> '{}'`,
    [tenantId, JSON.stringify(costs)],
  );
}

export async function writeProgress(
  sql: SqlClient,
  tenantId: TenantId,
  jobIds: readonly string[],
  progress: number,
): Promise<void> {
  await sql.query(
    `WITH mine AS (
       SELECT id FROM jobs
       WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND state = 'running' AND progress < $3::real
       ORDER BY id FOR UPDATE)
     UPDATE jobs SET progress = $3, updated_at = now()
     FROM mine WHERE jobs.tenant_id = $1 AND jobs.id = mine.id`,
    [tenantId, jobIds, progress],
  );
}

/** Ends unfinished jobs and their documents as failed. Returns the ids of the jobs it ended. */
export async function failJobs(
  sql: SqlClient,
  tenantId: TenantId,
  failures: readonly { jobId: string; error: RecordedError }[],
): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `WITH failure AS (
       SELECT * FROM jsonb_to_recordset($2::jsonb) AS f("jobId" uuid, error jsonb)),
     mine AS (
       SELECT id FROM jobs
       WHERE tenant_id = $1 AND id IN (SELECT "jobId" FROM failure) AND state IN ('queued', 'running')
       ORDER BY id FOR UPDATE),
     ended AS (
       UPDATE jobs SET state = 'failed', error = failure.error, finished_at = now(), updated_at = now()
       FROM mine JOIN failure ON failure."jobId" = mine.id
       WHERE jobs.tenant_id = $1 AND jobs.id = mine.id RETURNING jobs.id, jobs.subject_id, jobs.error),
     shown AS (
       UPDATE documents SET state = 'failed', error = ended.error, updated_at = now()
       FROM ended WHERE documents.tenant_id = $1 AND documents.id = ended.subject_id
         AND documents.state IN ('queued', 'processing'))
     SELECT id FROM ended`,
    [tenantId, JSON.stringify(failures)],
  );
  return rows.map((row) => row.id);
}

function toView(row: JobRow): JobView {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    step: row.step,
    progress: row.progress,
    attempts: row.attempts,
    error: row.error,
    cost: row.cost,
    result: row.result,
    documentId: row.subject_id,
    createdAt: row.created_at.getTime(),
    updatedAt: row.updated_at.getTime(),
    finishedAt: row.finished_at?.getTime() ?? null,
  };
}
