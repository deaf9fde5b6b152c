import KeyvRedis, { createClient } from '@keyv/redis';
import { CacheService, RedisCacheStore, RedisInvalidationBus } from '@sparkle/cache';
import { parseTenantId } from '@sparkle/contracts';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { createCache } from 'cache-manager';
import { Cacheable, Keyv } from 'cacheable';
import { Redis, type RedisOptions } from 'ioredis';
import { OURS } from '../report.js';

/** How long a call of Redis may take before a cache goes on without it: the same for every system. */
export const REDIS_BUDGET_MS = 50;

/** A cache of two tiers on one Redis, as one process has it. */
export interface TwoTierCache {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
  getOrSet(key: string, loader: () => Promise<unknown>): Promise<unknown>;
  close(): Promise<void>;
}

export interface TwoTierSettings {
  readonly ttlMs: number;
  /** Time budget of a Redis call. Default {@link REDIS_BUDGET_MS}. */
  readonly budgetMs?: number;
  /** `false`: nothing is kept in this process. Default true. */
  readonly memory?: boolean;
  /** Serve a stale value while one caller loads a new one, where the system can. */
  readonly staleWhileRevalidate?: boolean;
}

/** One system, opened as its documentation recommends for two tiers, single flight and a bus. */
export interface TwoTierSystem {
  readonly system: string;
  open(url: string, settings: TwoTierSettings): Promise<TwoTierCache>;
}

async function connection(url: string, options: RedisOptions = {}): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => 100,
    ...options,
  });
  redis.on('error', () => undefined);
  await redis.connect();
  return redis;
}

const sparkle: TwoTierSystem = {
  system: OURS,
  async open(url, { ttlMs, budgetMs = REDIS_BUDGET_MS, memory = true, staleWhileRevalidate = false }) {
    const [client, subscriber] = [await connection(url), await connection(url)];
    const bus = new RedisInvalidationBus({ publisher: client, subscriber });
    const cache = new CacheService(
      { store: new RedisCacheStore(client), bus },
      {
        ...(memory ? {} : { l1: { ttlMs: 0 } }),
        l2: { budgetMs },
        policy: { ttlMs, ...(staleWhileRevalidate ? { staleWhileRevalidate, graceMs: ttlMs } : {}) },
      },
    );
    const entries = cache.namespace({ tenantId: parseTenantId('bench'), namespace: 'entries' });
    return {
      get: (key) => entries.get(key),
      set: (key, value) => entries.set(key, value),
      getOrSet: (key, loader) => entries.getOrSet(key, loader),
      close: async () => {
        cache.close();
        client.disconnect();
        subscriber.disconnect();
      },
    };
  },
};

const bentocache: TwoTierSystem = {
  system: 'bentocache',
  async open(url, { ttlMs, budgetMs = REDIS_BUDGET_MS, memory = true, staleWhileRevalidate = false }) {
    const client = await connection(url, { commandTimeout: budgetMs });
    // The bus subscribes on a copy of this connection before that copy is connected.
    const publisher = await connection(url, { commandTimeout: budgetMs, enableOfflineQueue: true });
    const tiers = memory ? bentostore().useL1Layer(memoryDriver({ maxItems: 50_000 })) : bentostore();
    const cache = new BentoCache({
      default: 'main',
      ttl: ttlMs,
      suppressL2Errors: true,
      l2CircuitBreakerDuration: '1s',
      ...(staleWhileRevalidate ? { grace: 2 * ttlMs, timeout: 0 } : {}),
      stores: {
        main: tiers
          .useL2Layer(redisDriver({ connection: client }))
          .useBus(redisBusDriver({ connection: publisher })),
      },
    });
    return {
      get: (key) => cache.get({ key }),
      set: (key, value) => cache.set({ key, value }),
      getOrSet: (key, factory) => cache.getOrSet({ key, factory }),
      close: async () => {
        await cache.disconnectAll().catch(() => undefined);
        client.disconnect();
        publisher.disconnect();
      },
    };
  },
};

/** Keyv's adapter brings a client of its own; its commands get the same budget. */
async function keyvRedis(url: string, budgetMs: number): Promise<KeyvRedis<unknown>> {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    commandOptions: { timeout: budgetMs },
    socket: { reconnectStrategy: 100 },
  });
  client.on('error', () => undefined);
  await client.connect();
  return new KeyvRedis(client, { throwOnErrors: false });
}

const cacheable: TwoTierSystem = {
  system: 'cacheable',
  async open(url, { ttlMs, budgetMs = REDIS_BUDGET_MS, memory = true }) {
    const redis = await keyvRedis(url, budgetMs);
    const store = new Keyv({ store: redis });
    const cache = new Cacheable({ ttl: ttlMs, ...(memory ? { secondary: store } : { primary: store }) });
    cache.on('error', () => undefined);
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
      getOrSet: (key, loader) => cache.getOrSet(key, loader, { throwErrors: true }),
      close: () => closeKeyv(redis),
    };
  },
};

const cacheManager: TwoTierSystem = {
  system: 'cache-manager',
  async open(url, { ttlMs, budgetMs = REDIS_BUDGET_MS, memory = true, staleWhileRevalidate = false }) {
    const redis = await keyvRedis(url, budgetMs);
    const cache = createCache({
      ttl: ttlMs,
      stores: [...(memory ? [new Keyv()] : []), new Keyv({ store: redis })],
      ...(staleWhileRevalidate ? { refreshThreshold: ttlMs / 4 } : {}),
    });
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
      getOrSet: (key, loader) => cache.wrap(key, loader),
      close: () => closeKeyv(redis),
    };
  },
};

async function closeKeyv(redis: KeyvRedis<unknown>): Promise<void> {
  await redis.disconnect(true).catch(() => undefined);
}

/** The systems measured in two tiers. lru-cache has one, and no Redis. */
export const TWO_TIER_SYSTEMS: readonly TwoTierSystem[] = [sparkle, bentocache, cacheable, cacheManager];

/** Those of {@link TWO_TIER_SYSTEMS} that are not ours. */
export const TWO_TIER_PEERS = TWO_TIER_SYSTEMS.filter(({ system }) => system !== OURS);

/** @throws RangeError for a name that is none of {@link TWO_TIER_SYSTEMS}. */
export function twoTierSystem(name: string): TwoTierSystem {
  const found = TWO_TIER_SYSTEMS.find(({ system }) => system === name);
  if (!found) throw new RangeError(`there is no system ${name}`);
  return found;
}
