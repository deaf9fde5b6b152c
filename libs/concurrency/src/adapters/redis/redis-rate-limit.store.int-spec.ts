import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RateLimitRule } from '../../ports/rate-limit-store.port.js';
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

describe('requests that arrive in one turn of the event loop', () => {
  let client: Redis;
  let calls = 0;
  let store: RedisRateLimitStore;
  const rule: RateLimitRule = { algorithm: 'sliding-window', limit: 100, windowMs: 3_600_000 };
  const request = (tenant: string, names = ['user'], each = rule) => ({
    tenantId: parseTenantId(tenant),
    limiter: 'l',
    cost: 1,
    dimensions: names.map((name) => ({ name, key: 'k', rule: each })),
  });

  beforeAll(() => {
    client = connectTestRedis();
    const counting = new Proxy(client, {
      get(target, property) {
        if (property === 'evalsha') calls += 1;
        return Reflect.get(target, property, target);
      },
    });
    store = new RedisRateLimitStore(new RedisScripts(counting, new SystemClock(), 5000), `t-${randomUUID()}`);
  });
  afterAll(() => client?.disconnect());

  const callsOf = async (work: () => Promise<unknown>) => {
    const before = calls;
    await work();
    return calls - before;
  };

  it('go to Redis by the 32, tenant by tenant, and are decided in their order', async () => {
    const all = Array.from({ length: 200 }, (_, i) => request(i % 2 === 0 ? 'even' : 'odd'));
    const remaining: number[] = [];
    const made = await callsOf(async () => {
      const readings = await Promise.all(all.map((each) => store.consume(each)));
      for (const { dimensions } of readings) remaining.push(dimensions[0]!.remaining);
    });
    expect(made).toBe(2 * Math.ceil(100 / 32));
    expect(remaining).toEqual(all.map((_, i) => 99 - Math.floor(i / 2)));
  });

  it('never make a call of more than 271 counters', async () => {
    const names = Array.from({ length: 16 }, (_, i) => `d${i}`);
    const made = await callsOf(() =>
      Promise.all(Array.from({ length: 32 }, () => store.consume(request('wide', names)))),
    );
    expect(made).toBe(2);
  });

  it('are each held to their own rule when they share a counter', async () => {
    const readings = await Promise.all(
      [3, 100, 3, 3, 3].map((limit) => store.consume(request('shared', ['user'], { ...rule, limit }))),
    );
    expect(readings.map(({ admitted }) => admitted)).toEqual([true, true, true, false, false]);
  });

  it('are counted before a reset that follows them, and after one that precedes them', async () => {
    const [before, , after] = await Promise.all([
      store.consume(request('reset')),
      store.reset(request('reset')),
      store.consume(request('reset')),
    ]);
    expect([before.dimensions[0]!.remaining, after.dimensions[0]!.remaining]).toEqual([99, 99]);
  });
});
