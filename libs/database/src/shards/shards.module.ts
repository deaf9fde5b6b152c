import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, Random, TenantDatabase } from '@sparkle/contracts';
import { openShards, Shards } from './open-shards.js';
import { ShardAdministration } from './shard-administration.js';
import { ShardedDatabase, ShardRouter } from './shard-router.js';
import { ConfigurableShardsModule, SHARDS_OPTIONS_TOKEN } from './shards.module-definition.js';
import { parseShardsOptions } from './shards.options.js';

/**
 * Connects to the catalogue when the application starts, and disconnects from everything when it shuts down.
 * Global unless `isGlobal: false`. Provides {@link ShardRouter}, {@link ShardAdministration} and
 * {@link ShardedDatabase}, also as the `TenantDatabase` port: import it instead of `DatabaseModule`, or read
 * the port from one of them on purpose. A `Clock` or `Random` provided globally by the application is used.
 */
@Module({
  providers: [
    {
      provide: Shards,
      useFactory: (options: unknown, clock?: Clock, random?: Random) =>
        openShards(parseShardsOptions(options), { ...(clock && { clock }), ...(random && { random }) }),
      inject: [SHARDS_OPTIONS_TOKEN, { token: Clock, optional: true }, { token: Random, optional: true }],
    },
    { provide: ShardRouter, useFactory: (shards: Shards) => shards.router, inject: [Shards] },
    { provide: ShardAdministration, useFactory: (shards: Shards) => shards.administration, inject: [Shards] },
    {
      provide: ShardedDatabase,
      useFactory: (router: ShardRouter) => new ShardedDatabase(router),
      inject: [ShardRouter],
    },
    { provide: TenantDatabase, useExisting: ShardedDatabase },
  ],
  exports: [ShardRouter, ShardAdministration, ShardedDatabase, TenantDatabase],
})
export class ShardsModule extends ConfigurableShardsModule implements OnApplicationShutdown {
  constructor(@Inject(Shards) private readonly shards: Shards) {
    super();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.shards.close();
  }
}
