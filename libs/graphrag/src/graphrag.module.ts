import { Module } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';
import { Database } from '@sparkle/database';
import { ChatModel } from '@sparkle/llm';
import { CommunityService } from './communities/community.service.js';
import { CourseLoader } from './course/course-loader.js';
import { createExtractor } from './extract/create-extractor.js';
import { Extractor } from './extract/extractor.port.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './graphrag.module-definition.js';
import { GraphragOptions, parseGraphragOptions } from './graphrag.options.js';
import { DocumentService } from './ingest/document.service.js';
import { IngestionService } from './ingest/ingestion.service.js';
import { JobService } from './ingest/job.service.js';
import { KnownNames } from './ingest/known-names.js';
import { DocumentReader } from './ingest/read/document-reader.js';
import { LearningPathService } from './learn/learning-path.service.js';
import { StudyService } from './learn/study.service.js';
import { AnswerService } from './nest/answer.service.js';
import { EmbeddingStrengthService } from './nest/embedding-strength.service.js';
import { GraphService } from './nest/graph.service.js';
import { RetrievalService } from './nest/retrieval.service.js';
import { SnapshotProvider } from './nest/snapshot-provider.js';
import { EntityResolutionService } from './resolve/entity-resolution.service.js';
import { SenseReader } from './resolve/sense-reader.js';

const SERVICES = [
  DocumentService,
  JobService,
  IngestionService,
  SnapshotProvider,
  EmbeddingStrengthService,
  RetrievalService,
  AnswerService,
  GraphService,
  LearningPathService,
  StudyService,
  CourseLoader,
  EntityResolutionService,
  CommunityService,
];

/**
 * Ingestion, knowledge graph, retrieval, answers and learning paths.
 *
 * Needs `TenantDatabase`, `Clock`, `ChatModel`, `EmbeddingModel` and `JobQueue`. Entities are extracted as the
 * option `extraction` says unless an `Extractor` is given, and jobs of all tenants are looked for through `@sparkle/database` unless a
 * `SystemDatabase` is given.
 */
@Module({
  providers: [
    {
      provide: GraphragOptions,
      useFactory: (options: unknown) => parseGraphragOptions(options),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    { provide: Extractor, useFactory: createExtractor, inject: [GraphragOptions, ChatModel] },
    { provide: SystemDatabase, useExisting: Database },
    KnownNames,
    SenseReader,
    DocumentReader,
    ...SERVICES,
  ],
  exports: [GraphragOptions, Extractor, ...SERVICES],
})
export class GraphragModule extends ConfigurableModuleClass {}
