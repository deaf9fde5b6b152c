import { type Clock, SystemClock, type TenantId } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { type ChatModel, type EmbeddingModel, LocalExtractiveChatModel } from '@sparkle/llm';
import { graphragMigrations } from '../adapters/postgres/graphrag-migrations.js';
import { CommunityService } from '../communities/community.service.js';
import type { Extractor } from '../extract/extractor.port.js';
import { RuleBasedExtractor } from '../extract/rule-based-extractor.js';
import { type GraphragOptionsInput, parseGraphragOptions } from '../graphrag.options.js';
import { DocumentService } from '../ingest/document.service.js';
import { IngestionService } from '../ingest/ingestion.service.js';
import { JobService } from '../ingest/job.service.js';
import { KnownNames } from '../ingest/known-names.js';
import { DocumentReader } from '../ingest/read/document-reader.js';
import { EmbeddingStrengthService } from '../nest/embedding-strength.service.js';
import { SnapshotProvider } from '../nest/snapshot-provider.js';
import { EntityResolutionService } from '../resolve/entity-resolution.service.js';
import { SenseReader } from '../resolve/sense-reader.js';
import { HashEmbeddingModel } from './hash-embedding-model.js';
import { MemoryJobQueue } from './memory-job-queue.js';

/** The library's services on a database of a test's own. */
export interface TestGraphrag {
  readonly test: Pick<TestDatabase, 'database'>;
  readonly queue: MemoryJobQueue;
  readonly documents: DocumentService;
  readonly jobs: JobService;
  readonly ingestion: IngestionService;
  readonly reader: DocumentReader;
  readonly snapshots: SnapshotProvider;
  readonly strengths: EmbeddingStrengthService;
  readonly resolutions: EntityResolutionService;
  readonly communities: CommunityService;
  /** Processes what is in the queue. */
  work(): Promise<void>;
  /** Uploads a document and processes it. Returns the document's id. */
  ingest(tenantId: TenantId, text: string, title?: string, format?: string): Promise<string>;
}

export function createTestGraphragOn(
  test: Pick<TestDatabase, 'database'>,
  parts: {
    embeddings?: EmbeddingModel;
    model?: ChatModel;
    extractor?: Extractor;
    clock?: Clock;
    options?: GraphragOptionsInput;
  } = {},
): TestGraphrag {
  const { database } = test;
  const options = parseGraphragOptions(parts.options);
  const queue = new MemoryJobQueue();
  const reader = new DocumentReader(new SystemClock(), options);
  const documents = new DocumentService(database, queue, options);
  const strengths = new EmbeddingStrengthService(
    database,
    parts.embeddings ?? new HashEmbeddingModel(),
    options,
  );
  const ingestion = new IngestionService(
    database,
    documents,
    parts.extractor ?? new RuleBasedExtractor(),
    parts.embeddings ?? new HashEmbeddingModel(),
    new KnownNames(database),
    new SystemClock(),
    options,
    reader,
    new SenseReader(database, parts.embeddings ?? new HashEmbeddingModel()),
    strengths,
  );
  const work = async () => {
    for (const ticket of queue.drain()) await ingestion.process(ticket);
  };
  return {
    test,
    queue,
    documents,
    jobs: new JobService(database, database),
    ingestion,
    reader,
    strengths,
    snapshots: new SnapshotProvider(database, parts.clock ?? new SystemClock(), options),
    resolutions: new EntityResolutionService(database),
    communities: new CommunityService(
      database,
      database,
      parts.model ?? new LocalExtractiveChatModel(),
      parts.embeddings ?? new HashEmbeddingModel(),
      parts.clock ?? new SystemClock(),
      options,
    ),
    work,
    ingest: async (tenantId, text, title, format = 'markdown') => {
      const { document } = await documents.submit({
        tenantId,
        userId: 'teacher',
        title,
        format,
        content: text,
      });
      await work();
      return document.id;
    },
  };
}

/** A migrated database with this library's migrations. */
export function createGraphragDatabase(): Promise<TestDatabase> {
  return createTestDatabase({ migrations: graphragMigrations });
}
