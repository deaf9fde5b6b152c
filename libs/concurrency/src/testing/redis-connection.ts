import { Redis, type RedisOptions } from 'ioredis';

/**
 * The address of the Redis that the tests were given.
 * @throws Error when `TEST_REDIS_URL` is not set: a suite without its service fails, it does not skip.
 */
export function requireTestRedisUrl(): string {
  const url = process.env.TEST_REDIS_URL;
  if (!url) {
    throw new Error('TEST_REDIS_URL is not set. Start the test services (npm test does) or set it by hand.');
  }
  return url;
}

/** Connects to the Redis that the tests were given. */
export function connectTestRedis(options: RedisOptions = {}): Redis {
  return new Redis(requireTestRedisUrl(), { maxRetriesPerRequest: 1, ...options });
}
