import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  RateLimitDimension,
  RateLimitReading,
  RateLimitRule,
} from '../../ports/rate-limit-store.port.js';
import { type Admission, mostInAnyWindow, windowBound } from '../../testing/rate-limit-oracle.js';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { MemoryRateLimitStore } from '../memory/memory-rate-limit.store.js';
import { RedisRateLimitStore } from './redis-rate-limit.store.js';
import { RedisScripts } from './redis-scripts.js';

const windowMs = fc.integer({ min: 1, max: 40 });
const limit = fc.integer({ min: 2, max: 20 });
const rules: fc.Arbitrary<RateLimitRule> = fc.oneof(
  fc.record({
    algorithm: fc.constant('token-bucket' as const),
    limit,
    windowMs,
    burst: fc.integer({ min: 2, max: 20 }),
  }),
  fc.record({ algorithm: fc.constant('sliding-window' as const), limit, windowMs }),
);
const tenantId = parseTenantId('acme');

describe('rate limits in Redis', () => {
  let connections: Redis[] = [];
  let stores: RedisRateLimitStore[];

  beforeAll(() => {
    const prefix = `t-${randomUUID()}`;
    connections = [connectTestRedis(), connectTestRedis()];
    stores = connections.map(
      (client) => new RedisRateLimitStore(new RedisScripts(client, new SystemClock(), 5000), prefix),
    );
  });
  afterAll(() => {
    for (const connection of connections) connection.disconnect();
  });

  const scene = (ruleSet: RateLimitRule[]) => {
    const key = randomUUID();
    return ruleSet.map((rule, i): RateLimitDimension => ({ name: `d${i}`, key, rule }));
  };

  it('never admit more than limit and burst in any window of the server, from two processes, in whatever batches (400 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(rules, { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 4, maxLength: 25 }),
        async (ruleSet, bursts) => {
          const dimensions = scene(ruleSet);
          const admissions: Admission[] = [];
          for (const burst of bursts) {
            const readings = await Promise.all(
              Array.from({ length: burst }, (_, i) => {
                const cost = 1 + (i % 2);
                return stores[i % 2]!.consume({ tenantId, limiter: 'l', cost, dimensions }).then(
                  (reading) => ({ ...reading, cost }),
                );
              }),
            );
            for (const { admitted, decidedAtMs, cost } of readings) {
              if (admitted) admissions.push({ atMs: decidedAtMs, cost });
            }
          }
          for (const rule of ruleSet) {
            expect(mostInAnyWindow(admissions, rule.windowMs)).toBeLessThanOrEqual(windowBound(rule));
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('decide exactly as the memory adapter does at the same times, alone or in batches (400 schedules)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(rules, { minLength: 1, maxLength: 3 }),
        fc.array(
          fc.record({
            cost: fc.integer({ min: 1, max: 2 }),
            mode: fc.constantFrom('consume', 'consume', 'consume', 'peek', 'penalise' as const),
            alone: fc.integer({ min: 0, max: 7 }).map((die) => die === 0),
          }),
          { minLength: 20, maxLength: 120 },
        ),
        async (ruleSet, calls) => {
          const dimensions = scene(ruleSet);
          const requestOf = (cost: number) => ({ tenantId, limiter: 'l', cost, dimensions });
          const asked: Promise<RateLimitReading>[] = [];
          for (const { cost, mode, alone } of calls) {
            if (alone) await asked.at(-1);
            asked.push(stores[0]![mode as 'consume'](requestOf(cost)));
          }
          const readings = await Promise.all(asked);
          const clock = new TestClock();
          const memory = new MemoryRateLimitStore(clock);
          for (const [i, { cost, mode }] of calls.entries()) {
            const reading = readings[i]!;
            await clock.advance(reading.decidedAtMs - clock.monotonic());
            expect(await memory[mode as 'consume'](requestOf(cost))).toEqual(reading);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it('use one hash tag per tenant and give every counter an end', async () => {
    const prefix = `t-${randomUUID()}`;
    const client = connections[0]!;
    const store = new RedisRateLimitStore(new RedisScripts(client, new SystemClock(), 5000), prefix);
    const windowRule: RateLimitRule = { algorithm: 'sliding-window', limit: 5, windowMs: 60_000 };
    const bucketRule: RateLimitRule = { algorithm: 'token-bucket', limit: 1, windowMs: 60_000, burst: 5 };
    const dimensions = [
      { name: 'user', key: '}{x}', rule: windowRule },
      { name: 'action', key: 'y', rule: bucketRule },
    ];
    await store.consume({ tenantId, limiter: 'l', cost: 1, dimensions });
    const keys = [`${prefix}:{acme}:rate:l:user:w60000:}{x}`, `${prefix}:{acme}:rate:l:action:b60000:y`];
    expect(keys.map((key) => /\{([^}]*)\}/.exec(key)?.[1])).toEqual(['acme', 'acme']);
    for (const key of keys) {
      const ttl = await client.pttl(key);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(61_000);
    }
  });

  it('stand still after the server clock went back, until the time is reached again', async () => {
    const client = connections[0]!;
    const prefix = `t-${randomUUID()}`;
    const store = new RedisRateLimitStore(new RedisScripts(client, new SystemClock(), 5000), prefix);
    const [seconds] = await client.time();
    const aheadMs = (Math.floor(Number(seconds) / 60) + 10) * 60_000;
    const doubles = (...values: number[]) => Buffer.from(new Float64Array(values).buffer);
    const scope = `${prefix}:{acme}:rate:l:d`;
    await client.set(`${scope}:w3600000:k`, doubles(4, aheadMs / 60_000, 4), 'PX', 60_000);
    await client.set(`${scope}:b3600000:k`, doubles(4 * 3_600_000, aheadMs), 'PX', 60_000);
    for (const rule of [
      { algorithm: 'sliding-window', limit: 5, windowMs: 3_600_000 },
      { algorithm: 'token-bucket', limit: 5, windowMs: 3_600_000, burst: 5 },
    ] as const) {
      const request = { tenantId, limiter: 'l', cost: 1, dimensions: [{ name: 'd', key: 'k', rule }] };
      expect((await store.consume(request)).admitted).toBe(true);
      const { admitted, dimensions } = await store.consume(request);
      expect(admitted).toBe(false);
      expect(dimensions[0]).toMatchObject({ remaining: 0 });
    }
  });

  it('survive a server that has forgotten the scripts', async () => {
    const dimensions = scene([{ algorithm: 'sliding-window', limit: 5, windowMs: 60_000 }]);
    const client = connections[0]!;
    const forgetful = new Proxy(client, {
      get: (target, property) =>
        property === 'evalsha'
          ? () => Promise.reject(new Error('NOSCRIPT No matching script. Please use EVAL.'))
          : Reflect.get(target, property, target),
    });
    const store = new RedisRateLimitStore(new RedisScripts(forgetful, new SystemClock(), 5000), 'x');
    const reading = await store.consume({ tenantId, limiter: 'l', cost: 1, dimensions });
    expect(reading.dimensions[0]!.remaining).toBe(4);
  });
});
