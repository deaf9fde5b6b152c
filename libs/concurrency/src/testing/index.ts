export { type RateLimitStoreSubject, rateLimitStoreContract } from './rate-limit-store.contract.js';
export { connectTestRedis, requireTestRedisUrl } from './redis-connection.js';
export { type PermitStoreSubject, semaphoreContract } from './semaphore.contract.js';
export { type LoadOutcome, SimulatedLoad } from './simulated-load.js';
export { exponential, SimulatedService, SimulatedTime } from './simulated-service.js';
export { type TokenBudgetStoreSubject, tokenBudgetContract } from './token-budget.contract.js';
