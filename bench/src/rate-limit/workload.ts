import { randomUUID } from 'node:crypto';
import {
  type RateLimitDimension,
  RateLimiter,
  RedisRateLimitStore,
  RedisScripts,
} from '@sparkle/concurrency';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';

export const clock = new SystemClock();
export const tenantId = parseTenantId(`bench-${randomUUID()}`);
export const PEER = 'rate-limiter-flexible';
export const THROTTLER = '@nestjs/throttler';

/** As the libraries' guides recommend for limiters: fail instead of queueing while Redis is away. */
export async function connect(url: string): Promise<Redis> {
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true });
  redis.on('error', () => {});
  await redis.connect();
  return redis;
}

/** A limiter that decides by the store alone: an outage policy that stepped in would be measured instead. */
export function limiterOn(redis: Redis, budgetMs = 5000): RateLimiter {
  const store = new RedisRateLimitStore(new RedisScripts(redis, clock, budgetMs), 'sparkle-bench');
  return new RateLimiter(store, store, clock, { name: 'bench', outagePolicy: 'closed' });
}

export function windowOf(name: string, key: string, limit: number, windowMs: number): RateLimitDimension {
  return { name, key, rule: { algorithm: 'sliding-window', limit, windowMs } };
}

export function peerOn(redis: Redis, keyPrefix: string, points: number, seconds: number): RateLimiterRedis {
  return new RateLimiterRedis({ storeClient: redis, keyPrefix, points, duration: seconds });
}

export function peerUnion(redis: Redis, seconds: number, ...points: readonly number[]) {
  const limiters = points.map((limit, at) => peerOn(redis, `union-${at}-${randomUUID()}`, limit, seconds));
  return { limiters, union: new RateLimiterUnion(...limiters) };
}
