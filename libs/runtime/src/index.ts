export { embeddedJwtKey } from './auth/embedded-key.js';
export { SCOPES, TokenService, type VerifiedToken } from './auth/token.service.js';
export { type AlertRules, readAlertRules } from './checklist/alert-rules.js';
export {
  CHECKLIST_ITEMS,
  type ChecklistItem,
  type ChecklistItemName,
  judged,
  notMeasured,
  percent,
  TARGETS,
} from './checklist/checklist-item.js';
export {
  ALERTS_TARGET,
  DEGRADATION_TARGET,
  LOAD_TARGET,
  ProductionChecklist,
} from './checklist/production-checklist.js';
export { parseEnvironment, RuntimeConfig } from './config/environment.js';
export type {
  ChatEndpoint,
  RemoteChatSettings,
  RemoteEmbeddingSettings,
} from './config/model-environment.js';
export {
  ConfigurationInvalidError,
  DeadLetterNotFoundError,
  RedisUnreachableError,
  RuntimeError,
  ScopeMissingError,
  TokenExpiredError,
  TokenInvalidError,
  TokenMissingError,
} from './errors.js';
export { createHttpApplication, serve, withServices } from './process/http-application.js';
export { type RunningApplication, runProcess } from './process/run-process.js';
export { BullSummaryRequests } from './queue/bull-summary-requests.js';
export {
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterPage,
  DeadLetters,
  type Reopen,
  type ReplayOutcome,
} from './queue/dead-letters.js';
export {
  type AddOptions,
  type JobQueueSettings,
  JobQueues,
  payloadOf,
  type QueueDepths,
  tenantOf,
  type WorkerLoad,
} from './queue/job-queues.js';
export { postgresQueueBackend, type QueueBackend, redisQueueBackend } from './queue/queue-backend.js';
export {
  type JobPayload,
  QUEUE_NAMES,
  QUEUES,
  type QueueName,
  TENANT_QUEUE_NAMES,
} from './queue/queues.js';
export { reopenIngestion } from './queue/reopen-ingestion.js';
export { SCHEDULE, SCHEDULE_NAMES, type ScheduledJob, type ScheduleName } from './queue/schedule.js';
export { RuntimeModule, type RuntimeOverrides } from './runtime.module.js';
export { openServices, type ServiceConnections, schemaOf } from './services/service-connections.js';
export { type RegisteredTenant, TenantRegistry } from './tenants/tenant-registry.js';
