export { embeddedJwtKey } from './auth/embedded-key.js';
export { SCOPES, TokenService } from './auth/token.service.js';
export { parseEnvironment, type RemoteModelSettings, RuntimeConfig } from './config/environment.js';
export {
  ConfigurationInvalidError,
  RedisUnreachableError,
  RuntimeError,
  ScopeMissingError,
  TokenExpiredError,
  TokenInvalidError,
  TokenMissingError,
} from './errors.js';
export { createHttpApplication, serve, withServices } from './process/http-application.js';
export { type RunningApplication, runProcess } from './process/run-process.js';
export { type JobQueueSettings, JobQueues, payloadOf, type QueueDepths } from './queue/job-queues.js';
export { postgresQueueBackend, type QueueBackend, redisQueueBackend } from './queue/queue-backend.js';
export { type JobPayload, QUEUE_NAMES, QUEUES, type QueueName } from './queue/queues.js';
export { RuntimeModule, type RuntimeOverrides } from './runtime.module.js';
export { openServices, type ServiceConnections, schemaOf } from './services/service-connections.js';
export { type RegisteredTenant, TenantRegistry } from './tenants/tenant-registry.js';
