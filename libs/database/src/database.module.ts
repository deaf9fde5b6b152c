import { Inject, Logger, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, Random, TenantDatabase } from '@sparkle/contracts';
import { DataSource } from 'typeorm';
import { Database } from './core/database.service.js';
import type { DatabaseWarning } from './core/database-warning.js';
import { openDatabase } from './core/open-database.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './database.module-definition.js';
import { parseDatabaseOptions } from './database.options.js';
import { ArchiveStore } from './partitions/archive-store.port.js';
import { PartitionUpkeep } from './partitions/partition-upkeep.js';
import { studyRecordUpkeep } from './partitions/study-record-upkeep.js';
import { SlowQueryReport } from './reports/slow-queries.report.js';
import { TenantPools } from './tenants/tenant-pools.js';
import { TenantRoles } from './tenants/tenant-roles.js';

const logger = new Logger('SparkleDatabase');

function warn({ message }: DatabaseWarning): void {
  logger.warn(message);
}

/**
 * Connects to PostgreSQL when the application starts, and disconnects when it shuts down. Global unless
 * `isGlobal: false`. Provides {@link Database}, the `TenantDatabase` port (with pools of their own for tenants
 * that have a role, when `tenantRoleSecret` is set), {@link PartitionUpkeep} of the study
 * records, {@link SlowQueryReport} and
 * TypeORM's `DataSource`. A `Clock`, `Random` or `ArchiveStore` provided globally by the application is used. Warnings go to Nest's
 * logger.
 */
@Module({
  providers: [
    {
      provide: Database,
      useFactory: (options: unknown, clock?: Clock, random?: Random) =>
        openDatabase(parseDatabaseOptions(options), {
          warn,
          ...(clock && { clock }),
          ...(random && { random }),
        }),
      inject: [MODULE_OPTIONS_TOKEN, { token: Clock, optional: true }, { token: Random, optional: true }],
    },
    {
      provide: TenantDatabase,
      useFactory: (database: Database, options: unknown, clock?: Clock, random?: Random) => {
        const resolved = parseDatabaseOptions(options);
        if (!resolved.tenantRoleSecret) return database;
        const roles = new TenantRoles(database, resolved.tenantRoleSecret);
        return new TenantPools(database, roles, resolved, {
          warn,
          ...(clock && { clock }),
          ...(random && { random }),
        });
      },
      inject: [
        Database,
        MODULE_OPTIONS_TOKEN,
        { token: Clock, optional: true },
        { token: Random, optional: true },
      ],
    },
    { provide: DataSource, useFactory: (database: Database) => database.dataSource, inject: [Database] },
    {
      provide: PartitionUpkeep,
      useFactory: (database: Database, options: unknown, clock?: Clock, archives?: ArchiveStore) =>
        studyRecordUpkeep(database, parseDatabaseOptions(options).studyRecords, clock, archives),
      inject: [
        Database,
        MODULE_OPTIONS_TOKEN,
        { token: Clock, optional: true },
        { token: ArchiveStore, optional: true },
      ],
    },
    SlowQueryReport,
  ],
  exports: [Database, TenantDatabase, DataSource, PartitionUpkeep, SlowQueryReport],
})
export class DatabaseModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(
    @Inject(Database) private readonly database: Database,
    @Inject(TenantDatabase) private readonly tenantDatabase: Database | TenantPools,
  ) {
    super();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.tenantDatabase.close();
    await this.database.close();
  }
}
