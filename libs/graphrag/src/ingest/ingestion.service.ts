import { setImmediate as nextTick } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import {
  Clock,
  channels,
  isSparkleError,
  type SqlClient,
  TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import { countTokens, EmbeddingModel } from '@sparkle/llm';
import {
  type ChunkRow,
  type DocumentSource,
  insertChunks,
  publishDocuments,
  readChunks,
  readExtractions,
  readSources,
  readUnembedded,
  type StoredChunk,
  writeEmbeddings,
  writeExtractions,
} from '../adapters/postgres/chunk.store.js';
import { recordChanges } from '../adapters/postgres/corpus-version.js';
import type { RecordedError } from '../adapters/postgres/document.store.js';
import { lockGraph } from '../adapters/postgres/graph-lock.js';
import { readExistingNames, writeGraph } from '../adapters/postgres/graph-writer.js';
import {
  claimStep,
  failJobs,
  findJobs,
  type JobView,
  type OpenJob,
  openJobs,
  startJobs,
  writeProgress,
} from '../adapters/postgres/job.store.js';
import { courseOf, outlineChunks, outlineExtractions } from '../course/course-outline.js';
import { DocumentDeletedError, DocumentEmptyError, DocumentError, JobNotFoundError } from '../errors.js';
import { Extractor } from '../extract/extractor.port.js';
import type { NameDictionary } from '../extract/name-dictionary.js';
import { GraphragOptions } from '../graphrag.options.js';
import { analyse } from '../index/analyse.js';
import { passageText } from '../index/graph-snapshot.js';
import { chunkDocument } from './chunk-document.js';
import { deterministicId } from './deterministic-id.js';
import { DocumentService, type DocumentUpload, isUuid } from './document.service.js';
import { INGESTION_STEPS, type IngestionStep, progressAfter, stepAfter } from './ingestion-step.js';
import { KnownNames } from './known-names.js';
import { type ChunkExtraction, namesToLookUp, resolveEntities } from './resolve-entities.js';

/** Passages handed to the extractor at once. */
const EXTRACTIONS_IN_FLIGHT = 8;
/** Text of documents that share a batch in {@link IngestionService.ingestMany}. */
const BATCH_TEXT_BYTES = 8 * 1024 * 1024;

export interface IngestManyOptions {
  readonly signal?: AbortSignal;
  /** Called after each batch with the number of uploads dealt with so far. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface IngestManyResult {
  /** By position of the upload: its document, or `undefined` where it failed. Equal content is one document. */
  readonly documents: readonly (string | undefined)[];
  /** Uploads that cannot be ingested, by their position. */
  readonly failures: readonly ({ readonly index: number } & RecordedError)[];
}

/** Documents a step could not digest, by job. */
type Failures = Map<string, unknown>;
type Step = (
  tenantId: TenantId,
  jobs: readonly OpenJob[],
  failures: Failures,
  signal: AbortSignal | undefined,
) => Promise<readonly OpenJob[]>;

/**
 * Turns documents into passages, graph and embeddings: chunk → extract → resolve → embed → publish.
 *
 * Each step computes outside of a transaction what it can, then records itself and its results in one. The
 * record is a compare-and-set on the job's row, so whoever comes second writes nothing; rows have ids made from
 * their content, so even a repeated write meets its own rows. A crash therefore loses at most the step under
 * way (of `embed`: one batch), and any number of processes may work on one job.
 */
@Injectable()
export class IngestionService {
  private readonly steps: Record<IngestionStep, Step> = {
    chunk: (tenantId, jobs, failures) => this.chunk(tenantId, jobs, failures),
    extract: (...step) => this.extract(...step),
    resolve: (tenantId, jobs, failures) => this.resolve(tenantId, jobs, failures),
    embed: (...step) => this.embed(...step),
    publish: (tenantId, jobs, failures) => this.publish(tenantId, jobs, failures),
  };

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(DocumentService) private readonly documents: DocumentService,
    @Inject(Extractor) private readonly extractor: Extractor,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(KnownNames) private readonly knownNames: KnownNames,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Works on a job until it is completed or failed, going on after the last step that was recorded. A document
   * that cannot be ingested ends as failed with its reason; anything that may pass (database, model, abort)
   * rejects and leaves the job to be processed again.
   * @throws JobNotFoundError when the tenant has no such job.
   */
  async process(ticket: { tenantId: TenantId; jobId: string; signal?: AbortSignal }): Promise<JobView> {
    const { tenantId, jobId, signal } = ticket;
    if (!isUuid(jobId)) throw new JobNotFoundError();
    await this.run(tenantId, [jobId], signal);
    const job = await this.database.withTenant(tenantId, async (sql) =>
      (await findJobs(sql, tenantId, [jobId])).get(jobId),
    );
    if (!job) throw new JobNotFoundError();
    return job;
  }

  /**
   * Gives a job up after its last attempt. The document keeps what was done: uploading the same content again
   * goes on from there. Does nothing when the job has ended.
   */
  async fail(ticket: { tenantId: TenantId; jobId: string; error: unknown }): Promise<void> {
    const { tenantId, jobId } = ticket;
    await this.database.withTenant(tenantId, (sql) =>
      failJobs(sql, tenantId, [{ jobId, error: recorded(ticket.error) }]),
    );
  }

  /**
   * Ingests documents right away instead of through the queue, batching transactions and embeddings across
   * documents. The steps are those of {@link process}; content the tenant has already is skipped.
   */
  async ingestMany(
    tenantId: TenantId,
    uploads: readonly Omit<DocumentUpload, 'tenantId'>[],
    options: IngestManyOptions = {},
  ): Promise<IngestManyResult> {
    const failures: { index: number; code: string; message: string }[] = [];
    const documents: (string | undefined)[] = uploads.map(() => undefined);
    for (let from = 0; from < uploads.length; ) {
      options.signal?.throwIfAborted();
      const batch = takeBatch(uploads, from, this.options.bulkBatchSize);
      const stored = await this.documents.storeMany(tenantId, batch, (index, error) => {
        if (!(error instanceof DocumentError)) throw error;
        failures.push({ index: from + index, ...recorded(error) });
      });
      await this.run(
        tenantId,
        stored.filter((item) => !item.done).map((item) => item.jobId),
        options.signal,
      );
      const jobIds = stored.map((item) => item.jobId);
      const jobs = await this.database.withTenant(tenantId, (sql) => findJobs(sql, tenantId, jobIds));
      for (const item of stored) {
        const job = jobs.get(item.jobId);
        for (const index of item.indexes) {
          if (job?.state === 'completed') documents[from + index] = item.documentId;
          else if (job?.error) failures.push({ index: from + index, ...job.error });
        }
      }
      from += batch.length;
      options.onProgress?.(from, uploads.length);
    }
    return { documents, failures: failures.sort((a, b) => a.index - b.index) };
  }

  private async run(
    tenantId: TenantId,
    jobIds: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (jobIds.length === 0) return;
    let open = await this.database.withTenant(tenantId, async (sql) => {
      await startJobs(sql, tenantId, jobIds);
      return openJobs(sql, tenantId, jobIds);
    });
    while (open.length > 0) {
      signal?.throwIfAborted();
      const step = INGESTION_STEPS.find((candidate) => open.some((job) => stepAfter(job.step) === candidate));
      if (!step) return;
      await this.runStep(
        tenantId,
        step,
        open.filter((job) => stepAfter(job.step) === step),
        signal,
      );
      open = await this.database.withTenant(tenantId, (sql) => openJobs(sql, tenantId, jobIds));
    }
  }

  private async runStep(
    tenantId: TenantId,
    step: IngestionStep,
    jobs: readonly OpenJob[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const startedAt = this.clock.monotonic();
    const publish = (outcome: 'success' | 'failed', affected: readonly OpenJob[]) => {
      const durationMs = this.clock.monotonic() - startedAt;
      for (const { documentId } of affected)
        channels.ingestion.publish({ tenantId, documentId, step, outcome, durationMs });
    };
    const failures: Failures = new Map();
    try {
      const done = await this.steps[step](tenantId, jobs, failures, signal);
      publish('success', done);
    } catch (error) {
      if (!signal?.aborted) publish('failed', jobs);
      throw error;
    }
    if (failures.size === 0) return;
    await this.database.withTenant(tenantId, (sql) =>
      failJobs(
        sql,
        tenantId,
        [...failures].map(([jobId, error]) => ({ jobId, error: recorded(error) })),
      ),
    );
    publish(
      'failed',
      jobs.filter((job) => failures.has(job.id)),
    );
  }

  private async chunk(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    failures: Failures,
  ): Promise<readonly OpenJob[]> {
    const sources = await this.database.withTenant(tenantId, (sql) =>
      readSources(sql, tenantId, documentIdsOf(jobs)),
    );
    const chunks = new Map<string, ChunkRow[]>();
    for (const job of jobs) {
      const source = sources.get(job.documentId);
      this.attempt(job, failures, () => {
        if (!source) throw new DocumentDeletedError();
        chunks.set(job.id, toChunkRows(tenantId, source));
      });
    }
    return this.record(tenantId, 'chunk', jobs, failures, (sql, claimed) =>
      insertChunks(
        sql,
        tenantId,
        claimed.flatMap((job) => chunks.get(job.id)!),
      ),
    );
  }

  private async extract(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    failures: Failures,
    signal: AbortSignal | undefined,
  ): Promise<readonly OpenJob[]> {
    const { sources, chunks } = await this.database.withTenant(tenantId, async (sql) => ({
      sources: await readSources(sql, tenantId, documentIdsOf(jobs)),
      chunks: await readChunks(sql, tenantId, documentIdsOf(jobs)),
    }));
    const chunksOf = new Map<string, StoredChunk[]>(jobs.map((job) => [job.documentId, []]));
    for (const chunk of chunks) chunksOf.get(chunk.documentId)!.push(chunk);
    const known = await this.knownNames.of(tenantId);
    const extractions = new Map<string, readonly ChunkExtraction[]>();
    for (const job of jobs) {
      signal?.throwIfAborted();
      const source = sources.get(job.documentId);
      const passages = chunksOf.get(job.documentId)!;
      try {
        if (!source) throw new DocumentDeletedError();
        extractions.set(job.id, await this.extractDocument(tenantId, source, passages, known, signal));
      } catch (error) {
        if (!(error instanceof DocumentError)) throw error;
        failures.set(job.id, error);
      }
      // The rules compute without a pause: others must get their turn, the renewal of the job's lock above all.
      await nextTick();
    }
    return this.record(tenantId, 'extract', jobs, failures, (sql, claimed) =>
      writeExtractions(
        sql,
        tenantId,
        claimed.map((job) => ({ jobId: job.id, chunks: extractions.get(job.id)! })),
      ),
    );
  }

  private async extractDocument(
    tenantId: TenantId,
    source: DocumentSource,
    chunks: readonly StoredChunk[],
    known: NameDictionary,
    signal: AbortSignal | undefined,
  ): Promise<ChunkExtraction[]> {
    const course = courseOf(source.attributes);
    if (course) {
      const stated = outlineExtractions(course);
      return chunks.map((chunk) => ({ chunkId: chunk.id, ...stated[chunk.ordinal]! }));
    }
    const extractions: ChunkExtraction[] = [];
    for (let from = 0; from < chunks.length; from += EXTRACTIONS_IN_FLIGHT) {
      signal?.throwIfAborted();
      if (from > 0) await nextTick();
      const slice = chunks.slice(from, from + EXTRACTIONS_IN_FLIGHT);
      const results = await Promise.all(
        slice.map((chunk) =>
          this.extractor.extract({
            tenantId,
            documentTitle: chunk.documentTitle,
            headings: chunk.headings,
            text: chunk.text,
            known,
            ...(signal && { signal }),
          }),
        ),
      );
      results.forEach((result, index) => {
        extractions.push({
          chunkId: slice[index]!.id,
          entities: result.entities,
          relations: result.relations,
        });
      });
    }
    return extractions;
  }

  private resolve(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    failures: Failures,
  ): Promise<readonly OpenJob[]> {
    return this.record(
      tenantId,
      'resolve',
      jobs,
      failures,
      async (sql, claimed) => {
        const documents = await readExtractions(sql, tenantId, jobIdsOf(claimed));
        const existing = await readExistingNames(sql, tenantId, namesToLookUp(documents));
        await writeGraph(sql, tenantId, resolveEntities(tenantId, documents, existing));
      },
      (sql) => lockGraph(sql, tenantId),
    );
  }

  private async embed(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    failures: Failures,
    signal: AbortSignal | undefined,
  ): Promise<readonly OpenJob[]> {
    for (;;) {
      const { chunks, left, total } = await this.database.withTenant(tenantId, (sql) =>
        readUnembedded(sql, tenantId, documentIdsOf(jobs), this.options.embedBatchSize),
      );
      if (chunks.length === 0) break;
      const vectors = await this.embeddings.embed({
        tenantId,
        texts: chunks.map((chunk) => passageText(chunk)),
        ...(signal && { signal }),
      });
      const share = (total - left + chunks.length) / total;
      const from = progressAfter('resolve');
      await this.database.withTenant(tenantId, async (sql) => {
        await writeProgress(sql, tenantId, jobIdsOf(jobs), from + (progressAfter('embed') - from) * share);
        await writeEmbeddings(
          sql,
          tenantId,
          chunks.map((chunk, index) => ({ chunkId: chunk.id, vector: vectors[index]! })),
        );
      });
      signal?.throwIfAborted();
    }
    return this.record(tenantId, 'embed', jobs, failures, async () => undefined);
  }

  private publish(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    failures: Failures,
  ): Promise<readonly OpenJob[]> {
    return this.record(tenantId, 'publish', jobs, failures, async (sql, claimed) => {
      await publishDocuments(sql, tenantId, jobIdsOf(claimed), {
        extractor: this.extractor.id,
        embeddingModel: this.embeddings.id,
      });
      await recordChanges(sql, tenantId, documentIdsOf(claimed), 'added');
    });
  }

  /** Claims the step for the jobs that stand before it and writes their results, in one transaction. */
  private record(
    tenantId: TenantId,
    step: IngestionStep,
    jobs: readonly OpenJob[],
    failures: Failures,
    write: (sql: SqlClient, claimed: readonly OpenJob[]) => Promise<void>,
    before: (sql: SqlClient) => Promise<void> = async () => undefined,
  ): Promise<readonly OpenJob[]> {
    const able = jobs.filter((job) => !failures.has(job.id));
    if (able.length === 0) return Promise.resolve([]);
    return this.database.withTenant(tenantId, async (sql) => {
      await before(sql);
      const ids = await claimStep(sql, tenantId, jobIdsOf(able), step);
      const claimed = able.filter((job) => ids.has(job.id));
      if (claimed.length > 0) await write(sql, claimed);
      return claimed;
    });
  }

  private attempt(job: OpenJob, failures: Failures, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      failures.set(job.id, error);
    }
  }
}

function toChunkRows(tenantId: TenantId, source: DocumentSource): ChunkRow[] {
  const course = courseOf(source.attributes);
  const drafts = course ? outlineChunks(course) : chunkDocument(source, { countTokens });
  if (drafts.length === 0) throw new DocumentEmptyError();
  return drafts.map((draft) => ({
    ...draft,
    id: deterministicId(tenantId, 'chunk', source.id, String(draft.ordinal)),
    documentId: source.id,
    terms: analyse(
      passageText({ documentTitle: source.title, headings: draft.headings, text: draft.text }),
    ).join(' '),
  }));
}

/** As many uploads from `from` on as fit a batch; always at least one. */
function takeBatch<Upload extends { content: string | Uint8Array }>(
  uploads: readonly Upload[],
  from: number,
  most: number,
): Upload[] {
  const batch: Upload[] = [];
  let bytes = 0;
  for (let at = from; at < uploads.length && batch.length < most; at += 1) {
    bytes += uploads[at]!.content.length;
    if (batch.length > 0 && bytes > BATCH_TEXT_BYTES) break;
    batch.push(uploads[at]!);
  }
  return batch;
}

function jobIdsOf(jobs: readonly OpenJob[]): string[] {
  return jobs.map((job) => job.id);
}

function documentIdsOf(jobs: readonly OpenJob[]): string[] {
  return jobs.map((job) => job.documentId);
}

/** What users see of a failure: our own errors' code and message, nothing of anything else's. */
function recorded(error: unknown): RecordedError {
  return isSparkleError(error)
    ? { code: error.code, message: error.message }
    : {
        code: 'INGESTION_FAILED',
        message: 'The document could not be ingested because of an internal error.',
      };
}
