export {
  Database,
  type DatabaseDependencies,
  type PoolState,
  type TransactionOptions,
} from './core/database.service.js';
export { migrate } from './core/migrate.js';
export { openDatabase } from './core/open-database.js';
export { QueryCounter } from './core/query-counter.js';
export { type PartitionReport, StudyRecordPartitions } from './core/study-record-partitions.js';
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
export { databaseMigrations, TENANT_TABLES } from './migrations/index.js';
export { TenantPools } from './tenants/tenant-pools.js';
export {
  type TenantResources,
  type TenantResourcesInput,
  tenantResourcesSchema,
} from './tenants/tenant-resources.js';
export { type TenantRole, TenantRoles } from './tenants/tenant-roles.js';
