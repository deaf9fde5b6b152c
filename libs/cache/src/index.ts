export { MemoryCacheStore, type MemoryCacheStoreOptions } from './adapters/memory/memory-cache.store.js';
export { MemoryBusHub, MemoryInvalidationBus } from './adapters/memory/memory-invalidation.bus.js';
export {
  MemorySemanticStore,
  type MemorySemanticStoreOptions,
} from './adapters/memory/memory-semantic.store.js';
export { PgvectorSemanticStore } from './adapters/pgvector/pgvector-semantic.store.js';
export {
  semanticCacheMigration,
  semanticCachePurgesMigration,
  semanticCacheSearchMigration,
} from './adapters/pgvector/semantic-cache.migration.js';
export { RedisCacheStore, type RedisCacheStoreOptions } from './adapters/redis/redis-cache.store.js';
export {
  RedisInvalidationBus,
  type RedisInvalidationBusOptions,
} from './adapters/redis/redis-invalidation.bus.js';
export { CacheModule } from './cache.module.js';
export type { CacheCoreOptions, CacheCoreOptionsInput, CachePolicy } from './cache.options.js';
export type { CacheModuleOptions, CacheModuleOptionsInput } from './cache-module.options.js';
export {
  CacheNamespace,
  type CachePeek,
  CacheService,
  type CacheServiceDependencies,
} from './core/cache.service.js';
export type {
  BatchLoader,
  BatchLoaderContext,
  CacheCallOptions,
  Loader,
  LoaderContext,
} from './core/cache-call.js';
export type { CacheScope } from './core/cache-scope.js';
export type { InvalidationOutcome } from './core/store-gateway.js';
export { jsonCodec, type ValueCodec } from './core/value-codec.js';
export * from './errors.js';
export type { RedisConnection } from './lua/redis-script.js';
export { CacheInterceptor, HttpCache, type HttpCacheOptions } from './nest/cache.interceptor.js';
export {
  Cached,
  type CachedOptions,
  CacheEvict,
  type CacheEvictOptions,
  cachedKey,
} from './nest/cache-call.decorators.js';
export {
  InjectNamespaceCache,
  NamespaceCache,
  type NamespaceFeature,
  namespaceToken,
} from './nest/namespace-cache.js';
export {
  type Announcement,
  CacheStore,
  type DetachedPayload,
  type EntryToWrite,
  type LeaseOutcome,
  type LeaseRequest,
  type Payload,
  type StoredEntry,
  type StoredPayload,
  type StoreReading,
  type StoreScope,
  type WriteOutcome,
} from './ports/cache-store.port.js';
export { type BusMessage, InvalidationBus, type Touched } from './ports/invalidation-bus.port.js';
export { QuestionEmbedder } from './ports/question-embedder.port.js';
export {
  type PurgeMark,
  type SemanticCandidate,
  type SemanticEntry,
  type SemanticEntryToStore,
  type SemanticPartition,
  SemanticStore,
  type StoredSemanticEntry,
  type Tightening,
} from './ports/semantic-store.port.js';
export { type QuestionForm, type QuestionKind, questionForm } from './semantic/question-form.js';
export { compareQuestions, type GateReason, type GateVerdict } from './semantic/question-gates.js';
export {
  type AnswerResult,
  type FreshAnswer,
  SemanticCache,
  type SemanticCacheDependencies,
  type SemanticHit,
  type SemanticScope,
} from './semantic/semantic.cache.js';
export type { SemanticCacheOptions, SemanticCacheOptionsInput } from './semantic/semantic-cache.options.js';
export { SemanticCacheModule, type SemanticCacheModuleOptions } from './semantic-cache.module.js';
