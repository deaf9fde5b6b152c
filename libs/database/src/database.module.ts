import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, Random, TenantDatabase } from '@sparkle/contracts';
import { DataSource } from 'typeorm';
import { Database } from './core/database.service.js';
import { openDatabase } from './core/open-database.js';
import { StudyRecordPartitions } from './core/study-record-partitions.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './database.module-definition.js';
import { parseDatabaseOptions } from './database.options.js';
import { TenantPools } from './tenants/tenant-pools.js';
import { TenantRoles } from './tenants/tenant-roles.js';

/**
 * Connects to PostgreSQL when the application starts, and disconnects when it shuts down. Global unless
 * `isGlobal: false`. Provides {@link Database}, the `TenantDatabase` port (with pools of their own for tenants
 * that have a role, when `tenantRoleSecret` is set), {@link StudyRecordPartitions} and
 * TypeORM's `DataSource`. A `Clock` or `Random` provided globally by the application is used.
 */
@Module({
  providers: [
    {
      provide: Database,
      useFactory: (options: unknown, clock?: Clock, random?: Random) =>
        openDatabase(parseDatabaseOptions(options), { ...(clock && { clock }), ...(random && { random }) }),
      inject: [MODULE_OPTIONS_TOKEN, { token: Clock, optional: true }, { token: Random, optional: true }],
    },
    {
      provide: TenantDatabase,
      useFactory: (database: Database, options: unknown, clock?: Clock, random?: Random) => {
        const resolved = parseDatabaseOptions(options);
        if (!resolved.tenantRoleSecret) return database;
        const roles = new TenantRoles(database, resolved.tenantRoleSecret);
        return new TenantPools(database, roles, resolved, {
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
      provide: StudyRecordPartitions,
      useFactory: (database: Database, clock?: Clock) => new StudyRecordPartitions(database, clock),
      inject: [Database, { token: Clock, optional: true }],
    },
  ],
  exports: [Database, TenantDatabase, DataSource, StudyRecordPartitions],
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
