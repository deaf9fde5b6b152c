export {
  DatabaseTenantPlans,
  type DatabaseTenantPlansSettings,
} from './adapters/database/database-tenant-plans.js';
export { MemoryPermitStore } from './adapters/memory/memory-permit.store.js';
export { MemoryRateLimitStore } from './adapters/memory/memory-rate-limit.store.js';
export { MemoryTokenBudgetStore } from './adapters/memory/memory-token-budget.store.js';
export { StaticTenantPlans } from './adapters/memory/static-tenant-plans.js';
export { RedisPermitStore } from './adapters/redis/redis-permit.store.js';
export { RedisRateLimitStore } from './adapters/redis/redis-rate-limit.store.js';
export { type RedisClient, RedisScripts } from './adapters/redis/redis-scripts.js';
export { RedisTokenBudgetStore } from './adapters/redis/redis-token-budget.store.js';
export { ConcurrencyModule } from './concurrency.module.js';
export {
  type ConcurrencyModuleOptions,
  ConcurrencyOptions,
  concurrencyOptionsSchema,
  parseConcurrencyOptions,
} from './concurrency.options.js';
export type { Permit } from './core/permit.js';
export { SEMAPHORE_DEFAULTS, type SemaphoresSettings } from './core/permit-order.js';
export {
  type DimensionDecision,
  type OutagePolicy,
  type RateLimitDecision,
  RateLimiter,
  type RateLimiterSettings,
  type RateLimitRequest,
} from './core/rate-limiter.js';
export { ResourceScope } from './core/resource-scope.js';
export {
  type AcquireOptions,
  Mutex,
  type MutexDefinition,
  Semaphore,
  type SemaphoreDefinition,
} from './core/semaphore.js';
export { Semaphores } from './core/semaphores.js';
export { type Reservation, TokenBudget, type TokenBudgetSettings } from './core/token-budget.js';
export * from './errors.js';
export { PermitInterceptor } from './nest/permit.interceptor.js';
export type { PermitSettings } from './nest/permit-definition.decorator.js';
export { RateLimit, type RateLimitSettings, type WindowLimit } from './nest/rate-limit.decorator.js';
export { rateLimitHeaders } from './nest/rate-limit-headers.js';
export { TenantRateLimitGuard } from './nest/tenant-rate-limit.guard.js';
export { WithPermit } from './nest/with-permit.decorator.js';
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
export { type TenantPlan, TenantPlans, tenantPlanSchema } from './ports/tenant-plans.port.js';
export {
  type BudgetAccount,
  type BudgetUsage,
  type ReserveReply,
  type SettleOutcome,
  TokenBudgetStore,
} from './ports/token-budget-store.port.js';
