import { randomUUID } from 'node:crypto';
import { SystemClock } from '@sparkle/contracts';
import { rateLimitStoreContract } from '../../testing/rate-limit-store.contract.js';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { RedisRateLimitStore } from './redis-rate-limit.store.js';
import { RedisScripts } from './redis-scripts.js';

rateLimitStoreContract('redis', async () => {
  const client = connectTestRedis();
  return {
    store: new RedisRateLimitStore(new RedisScripts(client, new SystemClock(), 5000), `t-${randomUUID()}`),
    close: async () => client.disconnect(),
  };
});
