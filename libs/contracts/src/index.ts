export { Clock, type ClockTimer, SystemClock, sleepOn } from './clock.port.js';
export { isSparkleError, SparkleError } from './errors.js';
export {
  type CacheEvent,
  type ConversationEvent,
  channels,
  type DatabaseEvent,
  EventChannel,
  type IngestionEvent,
  type JobEvent,
  type LimitEvent,
  type ModelEvent,
  type RetrievalEvent,
  type ToolEvent,
} from './event-channels.js';
export { Random, SystemRandom } from './random.port.js';
export { SeededRandom } from './seeded-random.js';
export {
  type SchemaMigration,
  type SqlClient,
  SystemDatabase,
  TenantDatabase,
  type TenantTransactionOptions,
} from './sql.port.js';
export {
  type Principal,
  parseTenantId,
  TenantContext,
  type TenantId,
  TenantIdInvalidError,
  TenantMissingError,
} from './tenant.js';
