import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { CacheModule, CacheService, PgvectorSemanticStore, SemanticCacheModule } from '@sparkle/cache';
import { ConcurrencyModule, Semaphores, TenantPlans, TokenBudget } from '@sparkle/concurrency';
import { Clock, Random, SystemClock, SystemDatabase, SystemRandom, TenantDatabase } from '@sparkle/contracts';
import {
  CacheSummaryCache,
  ConversationModule,
  Retriever,
  SummaryCache,
  SummaryRequests,
  Tools,
} from '@sparkle/conversation';
import { Database, DatabaseModule } from '@sparkle/database';
import {
  Extractor,
  GraphragModule,
  GraphService,
  JobQueue,
  JobService,
  LearningPathService,
  RetrievalService,
  StudyService,
} from '@sparkle/graphrag';
import { EmbeddingModel, LlmModule, ModelAdmission } from '@sparkle/llm';
import { MetricsModule, queueTelemetry } from '@sparkle/metrics';
import { TokenService } from './auth/token.service.js';
import { ProductionChecklist } from './checklist/production-checklist.js';
import { RuntimeConfig } from './config/environment.js';
import { metricsOptions } from './health/metrics-options.js';
import { ServiceHealth } from './health/service-health.js';
import { modelOptions } from './models/model-options.js';
import { ModelQuestionEmbedder } from './models/model-question-embedder.js';
import { TenantModelAdmission } from './models/tenant-model-admission.js';
import { BullJobQueue } from './queue/bull-job-queue.js';
import { BullSummaryRequests } from './queue/bull-summary-requests.js';
import { DeadLetters } from './queue/dead-letters.js';
import { JobQueues } from './queue/job-queues.js';
import { reopenIngestion } from './queue/reopen-ingestion.js';
import { GraphRetriever } from './retrieval/graph-retriever.js';
import type { ServiceConnections } from './services/service-connections.js';
import { SERVICES } from './services/services.token.js';
import { TenantRegistry } from './tenants/tenant-registry.js';
import { GraphSearchTool } from './tools/graph-search.tool.js';
import { LearningPathTool } from './tools/learning-path.tool.js';
import { ProgressTool } from './tools/progress.tool.js';

/** What tools replace in the composition; applications replace nothing. */
export interface RuntimeOverrides {
  /** Reads entities and relations out of passages. Default: by rules. */
  readonly extractor?: Extractor;
  /** Embeddings kept in memory; 0 for none. Default: that of `@sparkle/llm`. */
  readonly embeddingCacheEntries?: number;
}

/**
 * Every library of Sparkle, wired for one application on the given services. Global: an application imports it
 * once and injects what it needs.
 */
@Module({})
export class RuntimeModule {
  static forRoot(
    config: RuntimeConfig,
    services: ServiceConnections,
    overrides: RuntimeOverrides = {},
  ): DynamicModule {
    const own: Provider[] = [
      { provide: RuntimeConfig, useValue: config },
      { provide: SERVICES, useValue: services },
      { provide: Clock, useClass: SystemClock },
      { provide: Random, useClass: SystemRandom },
      { provide: SystemDatabase, useExisting: Database },
      {
        provide: JobQueues,
        useFactory: () => new JobQueues(services.queueBackend, {}, config.tracing && queueTelemetry()),
      },
      {
        provide: DeadLetters,
        useFactory: (queues: JobQueues, jobs: JobService) =>
          new DeadLetters(queues, { ingestion: reopenIngestion(jobs) }),
        inject: [JobQueues, JobService],
      },
      { provide: JobQueue, useFactory: (queues: JobQueues) => new BullJobQueue(queues), inject: [JobQueues] },
      {
        provide: SummaryRequests,
        useFactory: (queues: JobQueues) => new BullSummaryRequests(queues),
        inject: [JobQueues],
      },
      {
        provide: SummaryCache,
        useFactory: (cache: CacheService) => new CacheSummaryCache(cache),
        inject: [CacheService],
      },
      {
        provide: TokenService,
        useFactory: (clock: Clock) => new TokenService(services.jwtKey, clock),
        inject: [Clock],
      },
      {
        provide: TenantRegistry,
        useFactory: (database: Database) => new TenantRegistry(database, config.defaultPlan !== undefined),
        inject: [Database],
      },
      {
        provide: ModelAdmission,
        useFactory: (semaphores: Semaphores, budget: TokenBudget, plans: TenantPlans) =>
          new TenantModelAdmission(semaphores, budget, plans),
        inject: [Semaphores, TokenBudget, TenantPlans],
      },
      {
        provide: Retriever,
        useFactory: (retrieval: RetrievalService) => new GraphRetriever(retrieval),
        inject: [RetrievalService],
      },
      {
        provide: Tools,
        useFactory: (graph: GraphService, paths: LearningPathService, study: StudyService): Tools => [
          new GraphSearchTool(graph),
          new LearningPathTool(paths),
          new ProgressTool(study),
        ],
        inject: [GraphService, LearningPathService, StudyService],
      },
      ServiceHealth,
      ProductionChecklist,
    ];
    return {
      module: RuntimeModule,
      global: true,
      imports: [
        DatabaseModule.forRoot({
          url: services.databaseUrl,
          pool: poolOf(config),
          detectRepeatedQueries: config.detectRepeatedQueries,
          requireUnprivileged: config.requireUnprivilegedDatabaseRole,
          studyRecords: config.studyRecords,
          tenantRoleSecret: config.tenantRoleSecret,
        }),
        ConcurrencyModule.forRootAsync({
          inject: [TenantDatabase],
          useFactory: (database: TenantDatabase) => ({
            store: services.redis
              ? { kind: 'redis' as const, ...services.redis, durable: config.redisDurable }
              : { kind: 'memory' as const },
            plans: { kind: 'database' as const, database, default: config.defaultPlan },
            rateLimits: {
              user: { limit: config.limits.userPerHour },
              action: { limit: config.limits.actionPerHour },
              tenant: { limit: config.limits.tenantPerHour },
            },
          }),
        }),
        CacheModule.forRoot(services.redis ? { redis: services.redis } : {}),
        SemanticCacheModule.forRootAsync({
          inject: [TenantDatabase, EmbeddingModel],
          useFactory: (database: TenantDatabase, model: EmbeddingModel) => ({
            store: new PgvectorSemanticStore(database),
            embedder: new ModelQuestionEmbedder(model),
          }),
        }),
        MetricsModule.forRoot(metricsOptions(config, services)),
        LlmModule.forRoot({
          ...modelOptions(config),
          ...(overrides.embeddingCacheEntries !== undefined && {
            embeddingCacheEntries: overrides.embeddingCacheEntries,
          }),
          isGlobal: true,
        }),
        GraphragModule.forRoot({
          maxDocumentBytes: config.documentMaxBytes,
          maxDocumentsPerTenant: config.documentQuota.documents,
          maxBytesPerTenant: config.documentQuota.bytes,
          extraction: config.extraction,
          adapters: overrides.extractor ? [{ provide: Extractor, useValue: overrides.extractor }] : [],
        }),
        ConversationModule.forRoot({}),
      ],
      providers: own,
      exports: own.map((provider) => (typeof provider === 'function' ? provider : provider.provide)),
    };
  }
}

/** PGlite has one session: BEGIN waits for its turn there, behind transactions of any length. */
const EMBEDDED_TURN_MS = 120_000;

function poolOf({ mode, databasePoolSize }: RuntimeConfig) {
  const bounds = { size: databasePoolSize, overflow: Math.ceil(databasePoolSize / 2) };
  if (mode === 'production') return bounds;
  return {
    ...bounds,
    acquireTimeoutMs: EMBEDDED_TURN_MS,
    livenessTimeoutMs: EMBEDDED_TURN_MS,
    statementTimeoutMs: EMBEDDED_TURN_MS,
  };
}
