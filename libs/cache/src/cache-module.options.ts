import type { Clock, Random } from '@sparkle/contracts';
import { z } from 'zod';
import { cacheCoreOptionsSchema } from './cache.options.js';
import type { ValueCodec } from './core/value-codec.js';
import type { RedisConnection } from './lua/redis-script.js';
import type { CacheStore } from './ports/cache-store.port.js';
import type { InvalidationBus } from './ports/invalidation-bus.port.js';

const instance = <T>(what: string, ...methods: (keyof T & string)[]) =>
  z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    `must be ${what}`,
  );

export const cacheModuleOptionsSchema = cacheCoreOptionsSchema.extend({
  /** Connections the application opened and closes. Without them, and without `store`, everything is in memory. */
  redis: z
    .strictObject({
      client: instance<RedisConnection>('an ioredis connection', 'evalsha', 'publish'),
      /** A second connection, for the subscription alone. */
      subscriber: instance<RedisConnection>('an ioredis connection', 'subscribe', 'on'),
      keyPrefix: z.string().default('sparkle:cache'),
      channel: z.string().min(1).default('sparkle:cache:bus'),
      heartbeatMs: z.number().int().positive().default(1_000),
      /**
       * Lets the server tell of every write under `keyPrefix`, so that entries written or removed by hand leave
       * memory too. Takes one more connection. Not on Redis Cluster.
       */
      tracking: z.boolean().default(false),
    })
    .optional(),
  /** A second tier of your own; goes with `bus`. */
  store: instance<CacheStore>('a CacheStore', 'read', 'acquireLease', 'write').optional(),
  bus: instance<InvalidationBus>('an InvalidationBus', 'publish', 'subscribe').optional(),
  /** Turns values into text and back. Default: JSON extended by the types JSON lacks. */
  codec: instance<ValueCodec>('a ValueCodec', 'encode', 'decode').optional(),
  clock: instance<Clock>('a Clock', 'monotonic', 'schedule').optional(),
  random: instance<Random>('a Random', 'next').optional(),
});

export type CacheModuleOptions = z.output<typeof cacheModuleOptionsSchema>;
export type CacheModuleOptionsInput = z.input<typeof cacheModuleOptionsSchema>;
