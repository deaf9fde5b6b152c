export {
  Database,
  type DatabaseDependencies,
  type TransactionOptions,
} from './core/database.service.js';
export type { DatabaseWarning } from './core/database-warning.js';
export { migrate } from './core/migrate.js';
export { openDatabase } from './core/open-database.js';
export type { PoolState } from './core/pool-watch.js';
export { QueryCounter } from './core/query-counter.js';
export { statementShape } from './core/repeated-queries.js';
export { RequestScope } from './core/request-scope.js';
export {
  APPLICATION_ROLE,
  enableTenantIsolation,
  type TenantIsolationOptions,
} from './core/tenant-isolation.js';
export type { IsolationLevel, Transaction } from './core/transaction-scope.js';
export { DatabaseModule } from './database.module.js';
export {
  type DatabaseOptions,
  type PoolOptions,
  parseDatabaseOptions,
  type ResolvedDatabaseOptions,
} from './database.options.js';
export * from './entities/index.js';
export * from './errors.js';
export { explainStatements, type StatementToExplain } from './indexes/explain-statements.js';
export type { CatalogIndex } from './indexes/index-catalog.js';
export {
  type IndexReport,
  type IndexReportOptions,
  type IndexSize,
  type IndexUsage,
  indexReport,
  indexUsage,
  type MissingIndex,
  type ReportedQuery,
} from './indexes/index-report.js';
export {
  type ExplainedStatement,
  type SentStatement,
  StatementCapture,
  type StatementCaptureOptions,
  type StatementConnection,
} from './indexes/statement-capture.js';
export type { AccessMethod, StatementPlan, TableAccess } from './indexes/statement-plan.js';
export { BatchLoaders } from './loading/batch-loaders.js';
export { defineGroupLoader, defineLoader, type LoaderDefinition } from './loading/loader-definition.js';
export {
  loadUserGraph,
  type NodeField,
  type NodeProgress,
  readUserGraph,
  type UserGraphOptions,
  type UserNode,
} from './loading/user-graph.js';
export { databaseMigrations, TENANT_TABLES } from './migrations/index.js';
export { RequestScopeInterceptor } from './nest/request-scope.interceptor.js';
export * from './partitions/index.js';
export type { ReadOptions } from './replicas/replica-set.js';
export {
  type SlowQuery,
  SlowQueryReport,
  type SlowQueryReportOptions,
  type SlowQueryResult,
} from './reports/slow-queries.report.js';
export * from './shards/index.js';
export { TenantPools } from './tenants/tenant-pools.js';
export {
  type TenantResources,
  type TenantResourcesInput,
  tenantResourcesSchema,
} from './tenants/tenant-resources.js';
export { type TenantRole, TenantRoles } from './tenants/tenant-roles.js';
