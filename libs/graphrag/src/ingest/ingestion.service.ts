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
  keepExtractions,
  publishDocuments,
  readChunks,
  readExtractions,
  readSources,
  readUnembedded,
  reuseUnchanged,
  type StoredChunk,
  type UnembeddedPassages,
  writeEmbeddings,
  writeExtractions,
  writeReadDocuments,
} from '../adapters/postgres/chunk.store.js';
import { recordChanges } from '../adapters/postgres/corpus-version.js';
import { type RecordedError, takeReplaced } from '../adapters/postgres/document.store.js';
import { lockGraph } from '../adapters/postgres/graph-lock.js';
import { removeDocument } from '../adapters/postgres/graph-removal.js';
import { readExistingNames, writeGraph } from '../adapters/postgres/graph-writer.js';
import {
  addCosts,
  type CostCounts,
  claimStep,
  failJobs,
  findJobs,
  type IngestionCost,
  type JobView,
  type OpenJob,
  openJobs,
  startJobs,
  writeDuration,
  writeProgress,
} from '../adapters/postgres/job.store.js';
import { courseOf, outlineChunks, outlineExtractions } from '../course/course-outline.js';
import { DocumentDeletedError, DocumentEmptyError, DocumentError, JobNotFoundError } from '../errors.js';
import type { ExtractionUsage } from '../extract/extractor.port.js';
import { Extractor } from '../extract/extractor.port.js';
import type { NameDictionary } from '../extract/name-dictionary.js';
import { GraphragOptions } from '../graphrag.options.js';
import { analyse } from '../index/analyse.js';
import { passageText } from '../index/passage-terms.js';
import type { Extraction } from '../model.js';
import { EmbeddingStrengthService } from '../nest/embedding-strength.service.js';
import { type ChunkExtraction, namesToLookUp, resolveEntities } from '../resolve/resolve-entities.js';
import { SenseReader } from '../resolve/sense-reader.js';
import { chunkDocument } from './chunk-document.js';
import { deterministicId } from './deterministic-id.js';
import { DocumentService, type DocumentUpload, isUuid } from './document.service.js';
import { derivedTitle, isFileFormat, UNTITLED } from './document-content.js';
import { INGESTION_STEPS, type IngestionStep, progressAfter, stepAfter } from './ingestion-step.js';
import { KnownNames } from './known-names.js';
import { DocumentReader } from './read/document-reader.js';

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

/** One run of a step: when it began, and the documents it could not digest, by job. */
class StepRun {
  readonly failures = new Map<string, unknown>();

  constructor(readonly startedAt: number) {}
}

type Step = (
  tenantId: TenantId,
  jobs: readonly OpenJob[],
  run: StepRun,
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
    chunk: (...step) => this.chunk(...step),
    extract: (...step) => this.extract(...step),
    resolve: (...step) => this.resolve(...step),
    embed: (...step) => this.embed(...step),
    publish: (tenantId, jobs, run) => this.publish(tenantId, jobs, run),
  };

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(DocumentService) private readonly documents: DocumentService,
    @Inject(Extractor) private readonly extractor: Extractor,
    @Inject(EmbeddingModel) private readonly embeddings: EmbeddingModel,
    @Inject(KnownNames) private readonly knownNames: KnownNames,
    @Inject(Clock) private readonly clock: Clock,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
    @Inject(DocumentReader) private readonly reader: DocumentReader,
    @Inject(SenseReader) private readonly senses: SenseReader,
    @Inject(EmbeddingStrengthService) private readonly strengths: EmbeddingStrengthService,
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
    await this.strengths.refresh(tenantId, signal);
  }

  private async runStep(
    tenantId: TenantId,
    step: IngestionStep,
    jobs: readonly OpenJob[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const run = new StepRun(this.clock.monotonic());
    const { startedAt, failures } = run;
    const publish = (outcome: 'success' | 'failed', affected: readonly OpenJob[]) => {
      const durationMs = this.clock.monotonic() - startedAt;
      for (const { documentId } of affected)
        channels.ingestion.publish({ tenantId, documentId, step, outcome, durationMs });
    };
    try {
      const done = await this.steps[step](tenantId, jobs, run, signal);
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
    run: StepRun,
    signal: AbortSignal | undefined,
  ): Promise<readonly OpenJob[]> {
    const sources = await this.database.withTenant(tenantId, (sql) =>
      readSources(sql, tenantId, documentIdsOf(jobs)),
    );
    const texts = new Map<string, DocumentText>();
    const chunks = new Map<string, ChunkRow[]>();
    for (const job of jobs) {
      const source = sources.get(job.documentId);
      await this.attempt(job, run, async () => {
        if (!source) throw new DocumentDeletedError();
        const text = await this.readText(source, signal);
        texts.set(job.id, text);
        chunks.set(job.id, toChunkRows(tenantId, { ...source, ...text }, text.pageStarts));
      });
    }
    return this.record(tenantId, 'chunk', jobs, run, async (sql, claimed) => {
      const read = claimed.filter((job) => sources.get(job.documentId)?.source);
      await writeReadDocuments(
        sql,
        tenantId,
        read.map((job) => ({ id: job.documentId, ...texts.get(job.id)! })),
      );
      await insertChunks(
        sql,
        tenantId,
        claimed.flatMap((job) => chunks.get(job.id)!),
      );
      const reused = await reuseUnchanged(sql, tenantId, documentIdsOf(claimed), {
        extractor: this.extractor.id,
        embeddingModel: this.embeddings.id,
      });
      await addCosts(sql, tenantId, costsOf(claimed, reused, 'reusedPassages'));
    });
  }

  /** The text of a document; that of a file is read out of it by another process. */
  private async readText(source: DocumentSource, signal: AbortSignal | undefined): Promise<DocumentText> {
    if (!source.source || !isFileFormat(source.format))
      return { text: source.text, title: source.title, pageStarts: [] };
    const read = await this.reader.read({
      format: source.format,
      bytes: source.source,
      limitBytes: this.options.maxDocumentBytes,
      ...(signal && { signal }),
    });
    const title = source.title === UNTITLED ? (read.title ?? derivedTitle(read.text)) : source.title;
    return { text: read.text, title, pageStarts: read.pageStarts };
  }

  private async extract(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    run: StepRun,
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
        extractions.set(job.id, await this.extractDocument(tenantId, job, source, passages, known, signal));
      } catch (error) {
        if (!(error instanceof DocumentError)) throw error;
        run.failures.set(job.id, error);
      }
      // The rules compute without a pause: others must get their turn, the renewal of the job's lock above all.
      await nextTick();
    }
    return this.record(tenantId, 'extract', jobs, run, (sql, claimed) =>
      writeExtractions(
        sql,
        tenantId,
        claimed.map((job) => ({ jobId: job.id, chunks: extractions.get(job.id)! })),
      ),
    );
  }

  private async extractDocument(
    tenantId: TenantId,
    job: OpenJob,
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
    if (this.extractor.extractMany) return this.extractMany(tenantId, job, chunks, known, signal);
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

  /** Stores what a costly extractor finds as it comes, so that a crash repeats only the calls under way. */
  private async extractMany(
    tenantId: TenantId,
    job: OpenJob,
    chunks: readonly StoredChunk[],
    known: NameDictionary,
    signal: AbortSignal | undefined,
  ): Promise<ChunkExtraction[]> {
    const found = new Map<string, Extraction>();
    for (const { id, extraction } of chunks) if (extraction) found.set(id, extraction);
    const open = chunks.filter((chunk) => !found.has(chunk.id));
    const spent = await this.database.withTenant(tenantId, async (sql) =>
      usageOf((await findJobs(sql, tenantId, [job.id])).get(job.id)?.cost),
    );
    const batches = this.extractor.extractMany!({
      tenantId,
      documentTitle: chunks[0]?.documentTitle ?? '',
      passages: open,
      known,
      spent,
      ...(signal && { signal }),
    });
    for await (const { passages, usage } of batches) {
      const rows = passages.map(({ index, extraction, by }) => ({
        chunkId: open[index]!.id,
        extraction,
        by,
      }));
      for (const { chunkId, extraction } of rows) found.set(chunkId, extraction);
      const passagesByRules = rows.filter(({ by }) => by !== this.extractor.id).length;
      const share = found.size / chunks.length;
      const from = progressAfter('chunk');
      await this.database.withTenant(tenantId, async (sql) => {
        await writeProgress(sql, tenantId, [job.id], from + (progressAfter('extract') - from) * share * 0.99);
        await addCosts(sql, tenantId, [{ jobId: job.id, counts: { ...usage, passagesByRules } }]);
        await keepExtractions(sql, tenantId, rows);
      });
    }
    return chunks.map((chunk) => ({ chunkId: chunk.id, ...found.get(chunk.id)! }));
  }

  /** What surrounds contested names is looked up, and embedded, before the graph is locked. */
  private async resolve(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    run: StepRun,
    signal: AbortSignal | undefined,
  ): Promise<readonly OpenJob[]> {
    const extracted = await this.database.withTenant(tenantId, (sql) =>
      readExtractions(sql, tenantId, jobIdsOf(jobs)),
    );
    const stated = extracted.filter((document) => Array.isArray(document.chunks));
    const evidence = await this.senses.read(tenantId, stated, signal);
    return this.record(
      tenantId,
      'resolve',
      jobs,
      run,
      async (sql, claimed) => {
        const documents = await readExtractions(sql, tenantId, jobIdsOf(claimed));
        const existing = await readExistingNames(sql, tenantId, namesToLookUp(documents));
        await writeGraph(sql, tenantId, resolveEntities(tenantId, documents, existing, evidence));
      },
      (sql) => lockGraph(sql, tenantId),
    );
  }

  private async embed(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    run: StepRun,
    signal: AbortSignal | undefined,
  ): Promise<readonly OpenJob[]> {
    let next = await this.startEmbedding(tenantId, jobs, undefined, signal);
    while (next) {
      const { chunks, left, total } = next;
      const vectors = await next.vectors;
      signal?.throwIfAborted();
      // The model works on the next batch while the database takes this one.
      const following = await this.startEmbedding(tenantId, jobs, chunks.at(-1), signal);
      const share = (total - left + chunks.length) / total;
      const from = progressAfter('resolve');
      await this.database.withTenant(tenantId, async (sql) => {
        await writeProgress(sql, tenantId, jobIdsOf(jobs), from + (progressAfter('embed') - from) * share);
        const tokens = await writeEmbeddings(
          sql,
          tenantId,
          chunks.map((chunk, index) => ({ chunkId: chunk.id, vector: vectors[index]! })),
        );
        await addCosts(sql, tenantId, costsOf(jobs, tokens, 'embeddedTokens'));
      });
      next = following;
    }
    return this.record(tenantId, 'embed', jobs, run, async () => undefined);
  }

  /** Reads the batch of passages after `after` that have no embedding, and has it embedded; undefined at the end. */
  private async startEmbedding(
    tenantId: TenantId,
    jobs: readonly OpenJob[],
    after: { documentId: string; ordinal: number } | undefined,
    signal: AbortSignal | undefined,
  ): Promise<(UnembeddedPassages & { vectors: Promise<Float32Array[]> }) | undefined> {
    const batch = await this.database.withTenant(tenantId, (sql) =>
      readUnembedded(sql, tenantId, documentIdsOf(jobs), this.options.embedBatchSize, after),
    );
    if (batch.chunks.length === 0) return undefined;
    const vectors = this.embeddings.embed({
      tenantId,
      texts: batch.chunks.map((chunk) => passageText(chunk)),
      ...(signal && { signal }),
    });
    // Its failure is heard of when its turn comes, unless the batch before fails first.
    vectors.catch(() => undefined);
    return { ...batch, vectors };
  }

  /** In one transaction the documents appear and those that they replace disappear. */
  private publish(tenantId: TenantId, jobs: readonly OpenJob[], run: StepRun): Promise<readonly OpenJob[]> {
    return this.record(
      tenantId,
      'publish',
      jobs,
      run,
      async (sql, claimed) => {
        await publishDocuments(sql, tenantId, jobIdsOf(claimed), {
          extractor: this.extractor.id,
          embeddingModel: this.embeddings.id,
        });
        await recordChanges(sql, tenantId, documentIdsOf(claimed), 'added');
        for (const replaced of await takeReplaced(sql, tenantId, documentIdsOf(claimed)))
          await removeDocument(sql, tenantId, replaced);
      },
      (sql) => lockGraph(sql, tenantId),
    );
  }

  /** Claims the step for the jobs that stand before it and writes their results, in one transaction. */
  private record(
    tenantId: TenantId,
    step: IngestionStep,
    jobs: readonly OpenJob[],
    run: StepRun,
    write: (sql: SqlClient, claimed: readonly OpenJob[]) => Promise<void>,
    before: (sql: SqlClient) => Promise<void> = async () => undefined,
  ): Promise<readonly OpenJob[]> {
    const able = jobs.filter((job) => !run.failures.has(job.id));
    if (able.length === 0) return Promise.resolve([]);
    return this.database.withTenant(tenantId, async (sql) => {
      await before(sql);
      const ids = await claimStep(sql, tenantId, jobIdsOf(able), step);
      const claimed = able.filter((job) => ids.has(job.id));
      if (claimed.length === 0) return claimed;
      await write(sql, claimed);
      const elapsedMs = this.clock.monotonic() - run.startedAt;
      await writeDuration(sql, tenantId, jobIdsOf(claimed), step, elapsedMs / claimed.length);
      return claimed;
    });
  }

  private async attempt(job: OpenJob, run: StepRun, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      run.failures.set(job.id, error);
    }
  }
}

/** What passages are cut from. */
interface DocumentText {
  readonly text: string;
  readonly title: string;
  readonly pageStarts: readonly number[];
}

function toChunkRows(tenantId: TenantId, source: DocumentSource, pageStarts: readonly number[]): ChunkRow[] {
  const course = courseOf(source.attributes);
  const format = source.format === 'text' ? 'text' : 'markdown';
  const drafts = course ? outlineChunks(course) : chunkDocument({ ...source, format }, { countTokens });
  if (drafts.length === 0) throw new DocumentEmptyError();
  return drafts.map((draft) => ({
    ...draft,
    id: deterministicId(tenantId, 'chunk', source.id, String(draft.ordinal)),
    documentId: source.id,
    page: source.format === 'pdf' ? pageOf(draft.start, pageStarts) : null,
    terms: analyse(
      passageText({ documentTitle: source.title, headings: draft.headings, text: draft.text }),
    ).join(' '),
  }));
}

/** The page that a position stands on, from 1. */
function pageOf(start: number, pageStarts: readonly number[]): number {
  const next = pageStarts.findIndex((pageStart) => pageStart > start);
  return (next < 0 ? pageStarts.length : next) + 1;
}

function costsOf(
  jobs: readonly OpenJob[],
  amounts: ReadonlyMap<string, number>,
  count: keyof CostCounts,
): { jobId: string; counts: CostCounts }[] {
  return jobs.flatMap((job) => {
    const amount = amounts.get(job.documentId);
    return amount ? [{ jobId: job.id, counts: { [count]: amount } }] : [];
  });
}

function usageOf(cost: IngestionCost = {}): ExtractionUsage {
  const { modelCalls = 0, inputTokens = 0, outputTokens = 0, costUsd = 0 } = cost;
  return { modelCalls, inputTokens, outputTokens, costUsd };
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
