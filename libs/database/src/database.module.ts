import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, Random, TenantDatabase } from '@sparkle/contracts';
import { DataSource } from 'typeorm';
import { Database } from './core/database.service.js';
import { openDatabase } from './core/open-database.js';
import { StudyRecordPartitions } from './core/study-record-partitions.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './database.module-definition.js';
import { parseDatabaseOptions } from './database.options.js';

/**
 * Connects to PostgreSQL when the application starts, and disconnects when it shuts down. Global unless
 * `isGlobal: false`. Provides {@link Database}, the `TenantDatabase` port, {@link StudyRecordPartitions} and
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
    { provide: TenantDatabase, useExisting: Database },
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
  constructor(@Inject(Database) private readonly database: Database) {
    super();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.database.close();
  }
}
