import { randomUUID } from 'node:crypto';
import { SystemClock } from '@sparkle/contracts';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { passServerTime } from '../../testing/server-time.js';
import { tokenBudgetContract } from '../../testing/token-budget.contract.js';
import { RedisScripts } from './redis-scripts.js';
import { RedisTokenBudgetStore } from './redis-token-budget.store.js';

tokenBudgetContract('redis', async () => {
  const client = connectTestRedis();
  return {
    store: new RedisTokenBudgetStore(new RedisScripts(client, new SystemClock(), 5000), `t-${randomUUID()}`),
    elapse: (ms) => passServerTime(client, ms),
    close: async () => client.disconnect(),
  };
});
