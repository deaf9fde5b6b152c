import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { type SqlClient, TenantDatabase, type TenantId } from '@sparkle/contracts';
import {
  addReplaced,
  type DocumentView,
  findDocument,
  findReplaceable,
  findReplacements,
  insertDocuments,
  keepDocument,
  listDocuments,
  lockUsage,
  type NewDocument,
  readUsage,
  tenantExists,
} from '../adapters/postgres/document.store.js';
import { lockGraph } from '../adapters/postgres/graph-lock.js';
import { removeDocument } from '../adapters/postgres/graph-removal.js';
import { insertJobs, type JobView, newestJobs, reopenFailed } from '../adapters/postgres/job.store.js';
import {
  ArgumentInvalidError,
  DocumentNotFoundError,
  DocumentQuotaExceededError,
  TenantUnknownError,
} from '../errors.js';
import { GraphragOptions } from '../graphrag.options.js';
import { JobQueue } from '../ports/job-queue.port.js';
import { deterministicId } from './deterministic-id.js';
import {
  type DocumentFormat,
  derivedTitle,
  isFileFormat,
  readDocument,
  UNTITLED,
} from './document-content.js';

export interface DocumentUpload {
  readonly tenantId: TenantId;
  readonly userId: string;
  /** 1–300 characters; taken from the first heading or line, or from the file, when missing. */
  readonly title?: string | undefined;
  /** `markdown`, `text`, `html` or `pdf`. */
  readonly format: string;
  /**
   * Text as a string, or as bytes in UTF-8 or (with a byte order mark) UTF-16; HTML also in the encoding that it
   * announces; PDF as bytes.
   */
  readonly content: string | Uint8Array;
  /** Stored with the document; not interpreted. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

export interface Submission {
  readonly document: DocumentView;
  readonly job: JobView;
  /** True when the tenant had this content already; `document` and `job` are then those of before. */
  readonly duplicate: boolean;
}

/** Attempts to get hold of a document that somebody else may be deleting at the same time. */
const SUBMIT_ATTEMPTS = 4;
const LIST_LIMIT = 200;

/** A tenant's documents. */
@Injectable()
export class DocumentService {
  private readonly logger = new Logger(DocumentService.name);

  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(JobQueue) private readonly queue: JobQueue,
    @Inject(GraphragOptions) private readonly options: GraphragOptions,
  ) {}

  /**
   * Accepts a document: checks it, stores it together with its job, and hands the job to the queue. Idempotent
   * by content within a tenant, also when the same content arrives several times at once; content whose
   * ingestion failed before is taken up again where it stopped.
   * @throws DocumentError a subclass saying what is wrong with the upload.
   * @throws DocumentQuotaExceededError when the tenant keeps as many documents or bytes as it may.
   * @throws TenantUnknownError when the tenant is not registered.
   */
  async submit(upload: DocumentUpload): Promise<Submission> {
    const submission = await this.store(upload);
    if (submission.job.state === 'queued') await this.enqueue(upload.tenantId, submission);
    return submission;
  }

  /**
   * Accepts a new version of a document. The version is a document of its own, with an id of its own, and leaves
   * the one it replaces in place until it is ready: its publication shows the one and removes the other in one
   * transaction, and if its ingestion fails, the earlier version stays. Passages that stand unchanged under the
   * same headings keep their embedding and what a model extracted from them. A version that was still on its way
   * gives way to the newer one at once. Without a title the version keeps the one before, unless that was taken from
   * the text; without `attributes` it keeps these.
   *
   * Content that the document has already is answered with that document; content that another document of the
   * tenant has takes that document for the new version.
   * @throws DocumentNotFoundError when the tenant has no such document; and as {@link submit}.
   */
  async replace(documentId: string, upload: DocumentUpload): Promise<Submission> {
    const { tenantId } = upload;
    if (!isUuid(documentId)) throw new DocumentNotFoundError();
    const submission = await this.database.withTenant(tenantId, (sql) =>
      this.storeVersion(sql, documentId, upload),
    );
    if (submission.job.state === 'queued') await this.enqueue(tenantId, submission);
    return submission;
  }

  /**
   * Like {@link submit} for many documents at once and without the queue: the caller runs the jobs. A document
   * that fails its checks is left out of the result and reported to `onRejected`.
   */
  async storeMany(
    tenantId: TenantId,
    uploads: readonly Omit<DocumentUpload, 'tenantId'>[],
    onRejected: (index: number, error: unknown) => void,
  ): Promise<{ indexes: readonly number[]; documentId: string; jobId: string; done: boolean }[]> {
    const accepted = new Map<string, NewDocument>();
    const indexes = new Map<string, number[]>();
    uploads.forEach((upload, index) => {
      try {
        const document = this.toDocument({ ...upload, tenantId });
        accepted.set(document.id, document);
        const same = indexes.get(document.id);
        if (same) same.push(index);
        else indexes.set(document.id, [index]);
      } catch (error) {
        onRejected(index, error);
      }
    });
    if (accepted.size === 0) return [];
    return this.database.withTenant(tenantId, async (sql) => {
      if (!(await tenantExists(sql, tenantId))) throw new TenantUnknownError();
      const documents = [...accepted.values()];
      const inserted = await this.insert(sql, tenantId, documents);
      const fresh = documents.filter((document) => inserted.has(document.id));
      await insertJobs(
        sql,
        tenantId,
        fresh.map((document) => ({ id: randomUUID(), documentId: document.id })),
      );
      for (const document of documents)
        if (!inserted.has(document.id)) await reopenFailed(sql, tenantId, document.id, randomUUID());
      const jobs = await newestJobs(sql, tenantId, [...accepted.keys()]);
      return documents.flatMap((document) => {
        const job = jobs.get(document.id);
        if (!job) return [];
        return [
          {
            indexes: indexes.get(document.id)!,
            documentId: document.id,
            jobId: job.id,
            done: job.state === 'completed',
          },
        ];
      });
    });
  }

  /** @throws DocumentNotFoundError when the tenant has no such document. */
  async get(tenantId: TenantId, documentId: string): Promise<DocumentView> {
    if (!isUuid(documentId)) throw new DocumentNotFoundError();
    const document = await this.database.withTenant(tenantId, (sql) =>
      findDocument(sql, tenantId, documentId),
    );
    if (!document) throw new DocumentNotFoundError();
    return document;
  }

  /**
   * Newest first, `limit` (1–200, default 50) at a time; `before` is the last document of the page before.
   * @throws ArgumentInvalidError when `limit` is out of range.
   */
  async list(
    tenantId: TenantId,
    page: { limit?: number; before?: Pick<DocumentView, 'id' | 'createdAt'> } = {},
  ): Promise<DocumentView[]> {
    const limit = page.limit ?? 50;
    if (!Number.isInteger(limit) || limit < 1 || limit > LIST_LIMIT)
      throw new ArgumentInvalidError(`A page has 1 to ${LIST_LIMIT} documents.`);
    return this.database.withTenant(tenantId, (sql) => listDocuments(sql, tenantId, limit, page.before));
  }

  /**
   * Deletes a document with its passages, embeddings, mentions and evidence, and every node, alias and edge
   * that no other document states. From its commit on nothing of it is retrieved. An ingestion under way is
   * ended.
   * @throws DocumentNotFoundError when the tenant has no such document.
   */
  async delete(tenantId: TenantId, documentId: string): Promise<void> {
    if (!isUuid(documentId)) throw new DocumentNotFoundError();
    const found = await this.database.withTenant(tenantId, (sql) =>
      removeDocument(sql, tenantId, documentId),
    );
    if (!found) throw new DocumentNotFoundError();
  }

  private async store(upload: DocumentUpload): Promise<Submission> {
    const { tenantId } = upload;
    const document = this.toDocument(upload);
    for (let attempt = 1; ; attempt += 1) {
      const submission = await this.database.withTenant(tenantId, async (sql) => {
        if (!(await tenantExists(sql, tenantId))) throw new TenantUnknownError();
        const inserted = (await this.insert(sql, tenantId, [document])).has(document.id);
        if (!inserted) await keepDocument(sql, tenantId, document.id);
        return this.withJob(sql, tenantId, document.id, inserted);
      });
      if (submission) return submission;
      if (attempt === SUBMIT_ATTEMPTS) throw new DocumentNotFoundError();
    }
  }

  private async storeVersion(
    sql: SqlClient,
    documentId: string,
    upload: DocumentUpload,
  ): Promise<Submission> {
    const { tenantId } = upload;
    await lockGraph(sql, tenantId);
    const before = await findReplaceable(sql, tenantId, documentId);
    if (!before) throw new DocumentNotFoundError();
    const document = this.toDocument({
      ...upload,
      title: upload.title ?? (isTitleDerived(before) ? undefined : before.title),
      attributes: upload.attributes ?? before.attributes,
    });
    const replaced = new Set<string>();
    const onTheirWay = await findReplacements(sql, tenantId, documentId);
    for (const other of before.state === 'ready' ? onTheirWay : [...onTheirWay, before]) {
      for (const id of other.replaces) replaced.add(id);
      if (other.id !== document.id) await removeDocument(sql, tenantId, other.id);
    }
    if (before.state === 'ready') replaced.add(documentId);
    replaced.delete(document.id);

    const replaces = [...replaced].sort();
    const inserted = (await this.insert(sql, tenantId, [{ ...document, replaces }])).has(document.id);
    if (!inserted) {
      await keepDocument(sql, tenantId, document.id);
      const existing = await findReplaceable(sql, tenantId, document.id);
      if (existing?.state === 'ready') for (const id of replaces) await removeDocument(sql, tenantId, id);
      else await addReplaced(sql, tenantId, document.id, replaces);
    }
    const submission = await this.withJob(sql, tenantId, document.id, inserted);
    if (!submission) throw new DocumentNotFoundError();
    return submission;
  }

  /** @throws DocumentQuotaExceededError when what was inserted is too much; the caller's transaction ends. */
  private async insert(
    sql: SqlClient,
    tenantId: TenantId,
    documents: readonly NewDocument[],
  ): Promise<Set<string>> {
    await lockUsage(sql, tenantId);
    const inserted = await insertDocuments(sql, tenantId, documents);
    if (inserted.size === 0) return inserted;
    const leaving = documents.flatMap((document) => document.replaces);
    const usage = await readUsage(sql, tenantId, leaving);
    const { maxDocumentsPerTenant, maxBytesPerTenant } = this.options;
    if (usage.documents > maxDocumentsPerTenant)
      throw new DocumentQuotaExceededError('documents', maxDocumentsPerTenant);
    if (usage.bytes > maxBytesPerTenant) throw new DocumentQuotaExceededError('bytes', maxBytesPerTenant);
    return inserted;
  }

  /** Gives a new document its job and a failed one a new job. Undefined when the document has gone. */
  private async withJob(
    sql: SqlClient,
    tenantId: TenantId,
    documentId: string,
    inserted: boolean,
  ): Promise<Submission | undefined> {
    const jobId = randomUUID();
    if (inserted) await insertJobs(sql, tenantId, [{ id: jobId, documentId }]);
    else await reopenFailed(sql, tenantId, documentId, jobId);
    const stored = await findDocument(sql, tenantId, documentId);
    const job = (await newestJobs(sql, tenantId, [documentId])).get(documentId);
    return stored && job && { document: stored, job, duplicate: !inserted };
  }

  private toDocument(upload: DocumentUpload): NewDocument {
    const content = readDocument(upload, this.options.maxDocumentBytes);
    return {
      id: deterministicId(upload.tenantId, 'document', content.hash),
      ...content,
      attributes: upload.attributes ?? {},
      createdBy: upload.userId,
      replaces: [],
    };
  }

  /** The job is committed: a queue that is down delays the document until the next sweep, and loses nothing. */
  private async enqueue(tenantId: TenantId, submission: Submission): Promise<void> {
    try {
      await this.queue.enqueue({
        tenantId,
        jobId: submission.job.id,
        kind: 'ingestion',
        subjectId: submission.document.id,
      });
    } catch (error) {
      this.logger.warn(
        `Job ${submission.job.id} waits for the next sweep, the queue did not take it: ${String(error)}`,
      );
    }
  }
}

/** Whether a document is called what its own text says, rather than what somebody named it. */
function isTitleDerived({
  title,
  format,
  text,
}: {
  title: string;
  format: DocumentFormat;
  text: string;
}): boolean {
  return title === UNTITLED || (!isFileFormat(format) && title === derivedTitle(text));
}

/** True for the text form of a UUID: anything else would make PostgreSQL reject the statement. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}
