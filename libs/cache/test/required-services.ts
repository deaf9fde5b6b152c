import { Redis, type RedisOptions } from 'ioredis';

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set. These tests need a real server; run them with npm test.`);
  return value;
}

export const redisUrl = () => required('TEST_REDIS_URL');
export const databaseUrl = () => required('TEST_DATABASE_URL');

/** Fails at once when the server is gone, as the cache expects of its connections. */
export const FAIL_FAST: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => 50,
};

export async function openRedis(url = redisUrl(), options: RedisOptions = FAIL_FAST): Promise<Redis> {
  const connection = new Redis(url, { ...options, lazyConnect: true });
  connection.on('error', () => undefined);
  await connection.connect();
  return connection;
}
