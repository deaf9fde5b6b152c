import { randomUUID } from 'node:crypto';
import { SystemClock } from '@sparkle/contracts';
import type { Redis } from 'ioredis';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { semaphoreContract } from '../../testing/semaphore.contract.js';
import { RedisPermitStore } from './redis-permit.store.js';
import { RedisScripts } from './redis-scripts.js';

semaphoreContract('redis', async () => {
  const clock = new SystemClock();
  const prefix = `t-${randomUUID()}`;
  const connections: Redis[] = [];
  const connect = () => {
    const connection = connectTestRedis();
    connections.push(connection);
    return connection;
  };
  return {
    clock,
    // The server may be younger than a lease, and never restarts.
    openStore: async () =>
      new RedisPermitStore(new RedisScripts(connect(), clock, 5000), connect(), prefix, { durable: true }),
    close: async () => {
      for (const connection of connections) connection.disconnect();
    },
  };
});
