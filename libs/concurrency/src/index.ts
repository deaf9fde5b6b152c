export {
  DatabaseTenantPlans,
  type DatabaseTenantPlansSettings,
} from './adapters/database/database-tenant-plans.js';
export { LeasedRateLimitStore, type QuotaLeaseSettings } from './adapters/leased/leased-rate-limit.store.js';
export { MemoryPermitStore } from './adapters/memory/memory-permit.store.js';
export { MemoryRateLimitStore } from './adapters/memory/memory-rate-limit.store.js';
export { MemoryTokenBudgetStore } from './adapters/memory/memory-token-budget.store.js';
export { StaticTenantPlans } from './adapters/memory/static-tenant-plans.js';
export { PiscinaThreads, type PiscinaThreadsSettings } from './adapters/piscina/piscina-threads.js';
export { RedisPermitStore, type RedisPermitStoreSettings } from './adapters/redis/redis-permit.store.js';
export { RedisRateLimitStore } from './adapters/redis/redis-rate-limit.store.js';
export { type RedisClient, RedisScripts } from './adapters/redis/redis-scripts.js';
export { RedisTokenBudgetStore } from './adapters/redis/redis-token-budget.store.js';
export { HostCpuUsage } from './adapters/system/host-cpu-usage.js';
export { ConcurrencyModule } from './concurrency.module.js';
export {
  type ConcurrencyModuleOptions,
  ConcurrencyOptions,
  concurrencyOptionsSchema,
  parseConcurrencyOptions,
} from './concurrency.options.js';
export {
  type AdaptiveLimit,
  FixedLimit,
  type LimitBounds,
  type LimitOutcome,
  type LimitSample,
} from './core/adaptive-limit.js';
export type { WindowSettings } from './core/adaptive-limit-window.js';
export {
  AdaptiveLimiter,
  type AdaptiveLimiterSettings,
  type Admission,
  type AdmissionRequest,
  outcomeOf,
} from './core/adaptive-limiter.js';
export { AimdLimit, type AimdLimitSettings } from './core/aimd-limit.js';
export {
  type BatchContext,
  type BatchOptions,
  type BatchReport,
  type BatchRetry,
  type BatchWorker,
  type ItemOutcome,
  processBatch,
  streamBatch,
} from './core/batch.js';
export type { BatchProgress, BatchProgressListener } from './core/batch-progress.js';
export { BatchProgressBar, type BatchProgressBarSettings } from './core/batch-progress-bar.js';
export { CpuLimit, type CpuLimitSettings } from './core/cpu-limit.js';
export { GradientLimit, type GradientLimitSettings } from './core/gradient-limit.js';
export { EqualShares, FixedShares, type LimitPartitions } from './core/limit-partitions.js';
export type { Permit } from './core/permit.js';
export { SEMAPHORE_DEFAULTS, type SemaphoresSettings } from './core/permit-order.js';
export { JOB_PRIORITY, PRIORITIES, type Priority } from './core/priority.js';
export {
  PriorityScheduler,
  type PrioritySchedulerSettings,
  type ScheduledTask,
  type SchedulerState,
  type TaskOptions,
} from './core/priority-scheduler.js';
export {
  type DimensionDecision,
  type OutagePolicy,
  type RateLimitDecision,
  RateLimiter,
  type RateLimiterSettings,
  type RateLimitRequest,
  refusalError,
} from './core/rate-limiter.js';
export { ResourceScope, type ResourceScopeSettings } from './core/resource-scope.js';
export {
  type AcquireOptions,
  Mutex,
  type MutexDefinition,
  Semaphore,
  type SemaphoreDefinition,
} from './core/semaphore.js';
export { Semaphores } from './core/semaphores.js';
export {
  type ActionWindows,
  type RateLimitSettings,
  TenantRateLimits,
  type WindowLimit,
} from './core/tenant-rate-limits.js';
export {
  type TenantTask,
  type TenantTaskOptions,
  TenantThreads,
  type TenantThreadsSettings,
  type TenantThreadsStats,
} from './core/tenant-threads.js';
export { type Reservation, TokenBudget, type TokenBudgetSettings } from './core/token-budget.js';
export * from './errors.js';
export { PermitInterceptor } from './nest/permit.interceptor.js';
export { PermitSignal } from './nest/permit-activity.js';
export type { PermitSettings } from './nest/permit-definition.decorator.js';
export { type ConcurrencyProblem, problemOf } from './nest/problem.js';
export { RateLimit } from './nest/rate-limit.decorator.js';
export { rateLimitHeaders } from './nest/rate-limit-headers.js';
export { rateLimitSettings, TenantRateLimitGuard } from './nest/tenant-rate-limit.guard.js';
export { WithPermit } from './nest/with-permit.decorator.js';
export { CpuUsage } from './ports/cpu-usage.port.js';
export {
  type AcquireReply,
  type Grant,
  type PermitPool,
  type PermitRequest,
  PermitStore,
  type SweepReply,
} from './ports/permit-store.port.js';
export {
  type DimensionReading,
  type RateLimitDimension,
  type RateLimitReading,
  type RateLimitRule,
  RateLimitStore,
  type RateLimitStoreRequest,
} from './ports/rate-limit-store.port.js';
export {
  type TaskThread,
  TaskThreads,
  type ThreadCrash,
  type ThreadOutcome,
  type ThreadPlace,
  type ThreadTask,
} from './ports/task-threads.port.js';
export { type TenantPlan, TenantPlans, tenantPlanSchema } from './ports/tenant-plans.port.js';
export {
  type BudgetAccount,
  type BudgetUsage,
  type ReserveReply,
  type SettleOutcome,
  TokenBudgetStore,
} from './ports/token-budget-store.port.js';
