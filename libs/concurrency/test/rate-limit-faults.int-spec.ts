import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MemoryRateLimitStore } from '../src/adapters/memory/memory-rate-limit.store.js';
import { RedisRateLimitStore } from '../src/adapters/redis/redis-rate-limit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { type OutagePolicy, type RateLimitDecision, RateLimiter } from '../src/core/rate-limiter.js';
import type { RateLimitRule } from '../src/ports/rate-limit-store.port.js';
import { type Admission, mostInAnyWindow } from '../src/testing/rate-limit-oracle.js';
import { ShiftedClock } from '../src/testing/shifted-clock.js';

const clock = new SystemClock();
const hourly: RateLimitRule = { algorithm: 'sliding-window', limit: 10, windowMs: 3_600_000 };
const POLICIES: readonly OutagePolicy[] = ['open', 'closed', 'local'];

describe('when the Redis server of a rate limiter', () => {
  let server: RedisServer;
  let connections: Redis[] = [];
  let tenantId: ReturnType<typeof parseTenantId>;

  beforeAll(async () => {
    server = await RedisServer.start({
      'enable-debug-command': 'yes',
      'key-load-delay': '500',
      'loading-process-events-interval-bytes': '1024',
    });
  });
  beforeEach(() => {
    tenantId = parseTenantId(`t-${randomUUID()}`);
  });
  afterEach(() => {
    for (const connection of connections) connection.disconnect();
    connections = [];
  });
  afterAll(() => server?.stop());

  const connect = async (options: RedisOptions = {}) => {
    const connection = new Redis(server.url, {
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: () => 10,
      lazyConnect: true,
      ...options,
    });
    connection.on('error', () => {});
    connections.push(connection);
    await connection.connect();
    return connection;
  };
  const limiterOn = (client: Redis, outagePolicy: OutagePolicy, budgetMs = 50) =>
    new RateLimiter(
      new RedisRateLimitStore(new RedisScripts(client, clock, budgetMs), 'faults'),
      new MemoryRateLimitStore(clock),
      clock,
      // The breaker tries again at once: every decision asks the server.
      { name: 'l', outagePolicy, recoveryMs: 0 },
    );
  const request = (rule: RateLimitRule = hourly) => ({
    tenantId,
    dimensions: [{ name: 'user', key: 'u', rule }],
  });
  const outcomeOf = (decision: Promise<RateLimitDecision>) =>
    decision.then(
      ({ admitted, source }) => ({ admitted, source }),
      (error: { code?: string; cause?: { message?: string } }) => ({
        code: error.code,
        cause: error.cause?.message,
      }),
    );
  const expected = {
    open: { admitted: true, source: 'unchecked' },
    closed: { code: 'LIMIT_STORE_FAILED' },
    local: { admitted: true, source: 'local' },
  } as const;
  /** Asks until the server itself decides again. */
  const decidedByServer = async (limiter: RateLimiter) => {
    for (;;) {
      const decision = await limiter.consume(request()).catch(() => undefined);
      if (decision?.source === 'store') return decision;
      await clock.sleep(5);
    }
  };

  for (const policy of POLICIES) {
    it(`is frozen, a limiter that is ${policy} decides by its policy, and by the server when it thaws`, async () => {
      const limiter = limiterOn(await connect(), policy);
      await limiter.consume(request());
      server.stall();
      const outcomes = await Promise.all([1, 2, 3].map(() => outcomeOf(limiter.consume(request()))));
      server.resume();
      for (const outcome of outcomes) expect(outcome).toMatchObject(expected[policy]);
      await decidedByServer(limiter);
    });

    it(`is killed and started again, a limiter that is ${policy} decides by its policy, then counts afresh`, async () => {
      const client = await connect();
      const limiter = limiterOn(client, policy);
      for (let i = 0; i < 4; i++) await limiter.consume(request());
      const lost = new Promise((resolve) => client.once('close', resolve));
      await server.kill();
      await lost;
      expect(await outcomeOf(limiter.consume(request()))).toMatchObject(expected[policy]);
      const restarted = server.restart();
      expect(await outcomeOf(limiter.consume(request()))).toMatchObject(expected[policy]);
      await restarted;
      expect((await decidedByServer(limiter)).dimension).toMatchObject({ name: 'user', remaining: 9 });
    });
  }

  const failsWith = async (client: Redis, cause: string) => {
    expect(await outcomeOf(limiterOn(client, 'closed', 5000).consume(request()))).toEqual({
      code: 'LIMIT_STORE_FAILED',
      cause: expect.stringContaining(cause),
    });
    for (const policy of ['open', 'local'] as const) {
      const outcome = await outcomeOf(limiterOn(client, policy, 5000).consume(request()));
      expect(outcome).toEqual(expected[policy]);
    }
  };

  it('loads its data, that is an outage, not a refusal', async () => {
    await server.command('debug', 'populate', '6000');
    await server.command('save');
    const restarted = server.restart();
    const client = new Redis(server.url, {
      enableReadyCheck: false,
      maxRetriesPerRequest: null,
      retryStrategy: () => 5,
    });
    client.on('error', () => {});
    connections.push(client);
    await new Promise((resolve) => client.once('ready', resolve));
    await failsWith(client, 'LOADING');
    await restarted;
    await decidedByServer(limiterOn(client, 'closed'));
    await server.command('flushall');
    await server.command('save');
  });

  it('has become a replica, that is an outage, not a refusal', async () => {
    const client = await connect();
    await limiterOn(client, 'closed').consume(request());
    await server.command('replicaof', '127.0.0.1', '1');
    await failsWith(client, 'READONLY');
    await server.command('replicaof', 'no', 'one');
    expect((await decidedByServer(limiterOn(client, 'closed'))).dimension).toMatchObject({ remaining: 8 });
  });

  it('is out of memory, that is an outage, and none of the dimensions has lost anything', async () => {
    const client = await connect();
    const dimensions = ['a', 'b', 'c'].map((name) => ({ name, key: 'k', rule: hourly }));
    const limiter = limiterOn(client, 'closed', 5000);
    await limiter.consume({ tenantId, dimensions });
    await server.command('config', 'set', 'maxmemory', '1');
    await failsWith(client, 'OOM');
    expect(await outcomeOf(limiter.consume({ tenantId, dimensions }))).toMatchObject({
      code: 'LIMIT_STORE_FAILED',
    });
    await server.command('config', 'set', 'maxmemory', '0');
    const { dimensions: after } = await limiter.peek({ tenantId, dimensions });
    expect(after.map(({ remaining }) => remaining)).toEqual([9, 9, 9]);
  });

  it('has forgotten the scripts, every request is decided all the same, and counted once', async () => {
    const limiter = limiterOn(await connect(), 'closed', 5000);
    await limiter.consume(request());
    await server.command('script', 'flush');
    const decisions = await Promise.all(Array.from({ length: 20 }, () => limiter.consume(request())));
    expect(decisions.filter(({ admitted }) => admitted)).toHaveLength(9);
  });

  it('holds something else under one counter, the other requests of the batch are decided all the same', async () => {
    const client = await connect();
    const limiter = limiterOn(client, 'closed', 5000);
    await client.hset(`faults:{${tenantId}}:rate:l:user:w3600000:hash`, 'a', 'b');
    await client.set(`faults:{${tenantId}}:rate:l:user:w3600000:text`, 'not a counter');
    const keys = ['hash', 'text', 'none'];
    for (const remaining of [9, 8]) {
      const decisions = await Promise.all(
        keys.map((key) => limiter.consume({ tenantId, dimensions: [{ name: 'user', key, rule: hourly }] })),
      );
      expect(decisions.map(({ dimension }) => dimension?.remaining)).toEqual(keys.map(() => remaining));
    }
  });

  it('is asked by clients whose clocks are a minute fast and a minute slow, no window admits more', async () => {
    const stores = await Promise.all(
      [60_000, -60_000, 0].map(
        async (offsetMs) =>
          new RedisRateLimitStore(
            new RedisScripts(await connect(), new ShiftedClock(offsetMs), 5000),
            'faults',
          ),
      ),
    );
    const rules: RateLimitRule[] = [
      { algorithm: 'sliding-window', limit: 20, windowMs: 100 },
      { algorithm: 'token-bucket', limit: 20, windowMs: 100, burst: 5 },
    ];
    for (const rule of rules) {
      const { dimensions } = request(rule);
      const admissions: Admission[] = [];
      let [firstMs, lastMs] = [Number.POSITIVE_INFINITY, 0];
      while (lastMs - firstMs < 350) {
        const readings = await Promise.all(
          stores.map((store) => store.consume({ tenantId, limiter: rule.algorithm, cost: 1, dimensions })),
        );
        for (const { admitted, decidedAtMs } of readings) {
          firstMs = Math.min(firstMs, decidedAtMs);
          lastMs = Math.max(lastMs, decidedAtMs);
          if (admitted) admissions.push({ atMs: decidedAtMs, cost: 1 });
        }
      }
      const bound = rule.algorithm === 'sliding-window' ? 20 : 25;
      expect(mostInAnyWindow(admissions, 100)).toBeLessThanOrEqual(bound);
      expect(admissions.length).toBeGreaterThan(40);
    }
  });
});
