import { Module } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';
import { Database } from '@sparkle/database';
import { CourseLoader } from './course/course-loader.js';
import { Extractor } from './extract/extractor.port.js';
import { RuleBasedExtractor } from './extract/rule-based-extractor.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './graphrag.module-definition.js';
import { GraphragOptions, parseGraphragOptions } from './graphrag.options.js';
import { DocumentService } from './ingest/document.service.js';
import { IngestionService } from './ingest/ingestion.service.js';
import { JobService } from './ingest/job.service.js';
import { KnownNames } from './ingest/known-names.js';
import { LearningPathService } from './learn/learning-path.service.js';
import { StudyService } from './learn/study.service.js';
import { AnswerService } from './nest/answer.service.js';
import { GraphService } from './nest/graph.service.js';
import { RetrievalService } from './nest/retrieval.service.js';
import { SnapshotProvider } from './nest/snapshot-provider.js';

const SERVICES = [
  DocumentService,
  JobService,
  IngestionService,
  SnapshotProvider,
  RetrievalService,
  AnswerService,
  GraphService,
  LearningPathService,
  StudyService,
  CourseLoader,
];

/**
 * Ingestion, knowledge graph, retrieval, answers and learning paths.
 *
 * Needs `TenantDatabase`, `Clock`, `ChatModel`, `EmbeddingModel` and `JobQueue`. Entities are extracted by rules
 * unless an `Extractor` is given, and jobs of all tenants are looked for through `@sparkle/database` unless a
 * `SystemDatabase` is given.
 */
@Module({
  providers: [
    {
      provide: GraphragOptions,
      useFactory: (options: unknown) => parseGraphragOptions(options),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    { provide: Extractor, useClass: RuleBasedExtractor },
    { provide: SystemDatabase, useExisting: Database },
    KnownNames,
    ...SERVICES,
  ],
  exports: [GraphragOptions, Extractor, ...SERVICES],
})
export class GraphragModule extends ConfigurableModuleClass {}
