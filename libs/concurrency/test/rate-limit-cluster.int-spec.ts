import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisCluster } from '@sparkle/contracts/testing';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisRateLimitStore } from '../src/adapters/redis/redis-rate-limit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { RedisTokenBudgetStore } from '../src/adapters/redis/redis-token-budget.store.js';
import { rateLimitStoreContract } from '../src/testing/rate-limit-store.contract.js';
import { passServerTime } from '../src/testing/server-time.js';
import { tokenBudgetContract } from '../src/testing/token-budget.contract.js';

const clock = new SystemClock();
let cluster: RedisCluster;
let client: Cluster;
let scripts: RedisScripts;

beforeAll(async () => {
  cluster = await RedisCluster.start();
  client = new Cluster([...cluster.endpoints]);
  scripts = new RedisScripts(client, clock, 5000);
}, 60_000);
afterAll(async () => {
  client?.disconnect();
  await cluster?.stop();
});

rateLimitStoreContract('redis cluster', async () => ({
  store: new RedisRateLimitStore(scripts, `t-${randomUUID()}`),
  close: async () => {},
}));

tokenBudgetContract('redis cluster', async () => ({
  store: new RedisTokenBudgetStore(scripts, `t-${randomUUID()}`),
  elapse: (ms) => passServerTime(client.nodes('master')[0]!, ms),
  close: async () => {},
}));

describe('rate limits on a cluster of three nodes', () => {
  it('are decided in one turn for tenants of every node, each by its own limit', async () => {
    const store = new RedisRateLimitStore(scripts, 't');
    const tenants = Array.from({ length: 30 }, (_, i) => parseTenantId(`tenant-${i}`));
    const rule = { algorithm: 'sliding-window', limit: 5, windowMs: 3_600_000 } as const;
    const dimensions = ['user', 'tenant'].map((name) => ({ name, key: 'k', rule }));
    const requests = Array.from({ length: 8 }, () => tenants).flat();
    const readings = await Promise.all(
      requests.map((tenantId) => store.consume({ tenantId, limiter: 'l', cost: 1, dimensions })),
    );
    for (const tenantId of tenants) {
      const own = readings.filter((_, i) => requests[i] === tenantId);
      expect(own.map(({ admitted }) => admitted)).toEqual([
        true,
        true,
        true,
        true,
        true,
        false,
        false,
        false,
      ]);
    }
    for (const node of client.nodes('master')) expect(await node.dbsize()).toBeGreaterThan(0);
  });
});
