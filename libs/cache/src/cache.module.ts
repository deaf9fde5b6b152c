import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { SystemClock, SystemRandom } from '@sparkle/contracts';
import { MemoryCacheStore } from './adapters/memory/memory-cache.store.js';
import { MemoryInvalidationBus } from './adapters/memory/memory-invalidation.bus.js';
import { RedisCacheStore } from './adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from './adapters/redis/redis-invalidation.bus.js';
import { CACHE_MODULE_OPTIONS, ConfigurableModuleClass } from './cache.module-definition.js';
import { parseOptions } from './cache.options.js';
import { type CacheModuleOptions, cacheModuleOptionsSchema } from './cache-module.options.js';
import { CacheService } from './core/cache.service.js';
import { CacheInterceptor } from './nest/cache.interceptor.js';
import { NamespaceCache, type NamespaceFeature, namespaceToken } from './nest/namespace-cache.js';
import { CacheStore } from './ports/cache-store.port.js';
import { InvalidationBus } from './ports/invalidation-bus.port.js';

const PARSED_OPTIONS = Symbol('ParsedCacheOptions');

/**
 * Provides {@link CacheService} and {@link CacheInterceptor}, globally unless `isGlobal: false`. Only
 * applications call `forRoot`; libraries inject the service or register namespaces with `forFeature`.
 * @throws CacheOptionsInvalidError at start
 */
@Module({
  providers: [
    {
      provide: PARSED_OPTIONS,
      useFactory: (input: unknown) => parseOptions(cacheModuleOptionsSchema, input ?? {}),
      inject: [CACHE_MODULE_OPTIONS],
    },
    {
      provide: CacheStore,
      useFactory: ({ store, redis, clock, random }: CacheModuleOptions) =>
        store ??
        (redis
          ? new RedisCacheStore(redis.client, { keyPrefix: redis.keyPrefix, clock, random })
          : new MemoryCacheStore(clock)),
      inject: [PARSED_OPTIONS],
    },
    {
      provide: InvalidationBus,
      useFactory: ({ bus, redis, clock, random }: CacheModuleOptions) =>
        bus ??
        (redis
          ? new RedisInvalidationBus({
              ...redis,
              publisher: redis.client,
              tracking: redis.tracking ? { keyPrefix: redis.keyPrefix } : undefined,
              clock,
              random,
            })
          : new MemoryInvalidationBus()),
      inject: [PARSED_OPTIONS],
    },
    {
      provide: CacheService,
      useFactory: (options: CacheModuleOptions, store: CacheStore, bus: InvalidationBus) => {
        const { policy, l1, l2, maxValueBytes, codec, clock, random } = options;
        return new CacheService(
          { store, bus, codec, clock: clock ?? new SystemClock(), random: random ?? new SystemRandom() },
          { policy, l1, l2, maxValueBytes },
        );
      },
      inject: [PARSED_OPTIONS, CacheStore, InvalidationBus],
    },
    CacheInterceptor,
  ],
  exports: [CacheService, CacheInterceptor],
})
export class CacheModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(
    @Inject(CacheService) private readonly cache: CacheService,
    @Inject(InvalidationBus) private readonly bus: unknown,
  ) {
    super();
  }

  /** Provides a `NamespaceCache` per namespace; see `InjectNamespaceCache`. Needs `forRoot` in the application. */
  static forFeature(features: readonly NamespaceFeature[]): DynamicModule {
    const providers = features.map((feature) => ({
      provide: namespaceToken(feature.name),
      useFactory: (cache: CacheService) => new NamespaceCache(cache, feature),
      inject: [CacheService],
    }));
    return {
      module: CacheNamespacesModule,
      providers,
      exports: providers.map(({ provide }) => provide),
    };
  }

  onApplicationShutdown(): void {
    this.cache.close();
    if (this.bus instanceof RedisInvalidationBus) this.bus.close();
  }
}

/** Holds the namespaces of one `CacheModule.forFeature`. */
@Module({})
export class CacheNamespacesModule {}
