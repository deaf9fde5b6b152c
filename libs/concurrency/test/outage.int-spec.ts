import { randomUUID } from 'node:crypto';
import { channels, type LimitEvent, parseTenantId, SystemClock } from '@sparkle/contracts';
import { TcpProxy, TestClock } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryRateLimitStore } from '../src/adapters/memory/memory-rate-limit.store.js';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisRateLimitStore } from '../src/adapters/redis/redis-rate-limit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { RedisTokenBudgetStore } from '../src/adapters/redis/redis-token-budget.store.js';
import { type OutagePolicy, RateLimiter } from '../src/core/rate-limiter.js';
import { Semaphores } from '../src/core/semaphores.js';
import { TokenBudget } from '../src/core/token-budget.js';
import { requireTestRedisUrl } from '../src/testing/redis-connection.js';

const tenantId = parseTenantId('acme');
const budgetMs = 50;

describe('when Redis', () => {
  let proxy: TcpProxy;
  let client: Redis;
  let clock: TestClock;
  let prefix: string;
  let connections: Redis[] = [];

  const connect = async () => {
    const connection = new Redis(proxy.port, '127.0.0.1', {
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: () => 10,
      lazyConnect: true,
    });
    connection.on('error', () => {});
    connections.push(connection);
    await connection.connect();
    return connection;
  };
  const ready = (connection: Redis) =>
    new Promise<void>((resolve) => {
      if (connection.status === 'ready') resolve();
      else connection.once('ready', resolve);
    });
  const gone = (connection: Redis) =>
    new Promise<void>((resolve) => {
      if (connection.status !== 'ready') resolve();
      else connection.once('close', resolve);
    });

  beforeEach(async () => {
    connections = [];
    proxy = await TcpProxy.to(requireTestRedisUrl());
    clock = new TestClock();
    prefix = `t-${randomUUID()}`;
    client = await connect();
  });
  afterEach(async () => {
    vi.useRealTimers();
    for (const connection of connections) connection.disconnect();
    await proxy?.close();
  });

  const limiterWith = (outagePolicy: OutagePolicy) =>
    new RateLimiter(
      new RedisRateLimitStore(new RedisScripts(client, clock, budgetMs), prefix),
      new MemoryRateLimitStore(clock),
      clock,
      { name: 'requests', outagePolicy },
    );
  const request = {
    tenantId,
    dimensions: [
      { name: 'user', key: 'u', rule: { algorithm: 'sliding-window', limit: 2, windowMs: 60_000 } as const },
    ],
  };

  /** The outcome of `work` once the time budget is used up, and not a millisecond before. */
  const afterBudget = async <T>(work: Promise<T>) => {
    let settled = false;
    const outcome = work
      .catch((error: unknown) => error)
      .finally(() => {
        settled = true;
      });
    // What is asked in one turn of the event loop is sent at its end.
    await clock.advance(0);
    await clock.advance(budgetMs - 1);
    expect(settled).toBe(false);
    await clock.advance(1);
    expect(settled).toBe(true);
    return outcome;
  };

  for (const outage of ['stalls', 'refuses connections'] as const) {
    const fail = async () => {
      if (outage === 'stalls') {
        proxy.stall();
        return;
      }
      const lost = gone(client);
      await proxy.refuse();
      await lost;
    };
    const decide = <T>(work: Promise<T>) =>
      outage === 'stalls' ? afterBudget(work) : work.catch((error: unknown) => error);

    describe(outage, () => {
      it('an open limiter admits, unchecked, within its time budget', async () => {
        const limiter = limiterWith('open');
        await fail();
        expect(await decide(limiter.consume(request))).toMatchObject({ admitted: true, source: 'unchecked' });
      });

      it('a closed limiter refuses with an error that does not say "limited"', async () => {
        const limiter = limiterWith('closed');
        await fail();
        expect(await decide(limiter.consume(request))).toMatchObject({ code: 'LIMIT_STORE_FAILED' });
        expect(await decide(limiter.consumeOrThrow(request))).toMatchObject({ code: 'LIMIT_STORE_FAILED' });
      });

      it('a local limiter counts by itself', async () => {
        const limiter = limiterWith('local');
        await fail();
        const decisions = [];
        for (let i = 0; i < 3; i++) decisions.push(await decide(limiter.consume(request)));
        expect(decisions).toMatchObject([
          { admitted: true, source: 'local' },
          { admitted: true, source: 'local' },
          { admitted: false, source: 'local', dimension: { name: 'user', limit: 2, remaining: 0 } },
        ]);
        expect(await decide(limiter.consumeOrThrow(request))).toMatchObject({ code: 'RATE_LIMITED' });
      });

      it('permits and budgets fail with errors of their own', async () => {
        const scripts = new RedisScripts(client, clock, budgetMs);
        const semaphore = new Semaphores(
          new RedisPermitStore(scripts, await connect(), prefix),
          clock,
        ).semaphore({
          name: 's',
          permits: 1,
        });
        const limitOf = async () => ({ tokens: 100, windowMs: 60_000 });
        const budget = new TokenBudget(new RedisTokenBudgetStore(scripts, prefix), limitOf, {
          name: 'llm',
          reservationMs: 1000,
        });
        await fail();
        expect(await decide(semaphore.tryAcquire({ tenantId }))).toMatchObject({
          code: 'PERMIT_STORE_FAILED',
        });
        expect(await decide(semaphore.acquire({ tenantId }))).toMatchObject({ code: 'PERMIT_STORE_FAILED' });
        expect(await decide(budget.reserve(tenantId, 1))).toMatchObject({ code: 'BUDGET_STORE_FAILED' });
      });
    });
  }

  it('fails several times in a row, the limiter stops asking, and asks again after a pause', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const limiter = limiterWith('local');
    const lost = gone(client);
    await proxy.refuse();
    await lost;
    for (let i = 0; i < 5; i++) await limiter.consume(request);
    await proxy.accept();
    await ready(client);
    expect(await limiter.consume(request)).toMatchObject({ source: 'local' });
    vi.setSystemTime(Date.now() + 1000);
    expect(await limiter.consume(request)).toMatchObject({ admitted: true, source: 'store' });
  });

  it('fails, that is published', async () => {
    const events: LimitEvent[] = [];
    const stop = channels.limit.subscribe((event) => events.push(event));
    const limiter = limiterWith('open');
    await limiter.consume(request);
    proxy.stall();
    await afterBudget(limiter.consume(request));
    stop();
    expect(events.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ['rate', 'admitted'],
      ['rate', 'store_failed'],
      ['rate', 'admitted'],
    ]);
  });

  it('loses the subscriber, waiters are granted permits all the same once it is back', async () => {
    const real = new SystemClock();
    const subscriber = await connect();
    const direct = new Redis(requireTestRedisUrl());
    connections.push(direct);
    const store = new RedisPermitStore(new RedisScripts(direct, real, 5000), subscriber, prefix, {
      durable: true,
    });
    const semaphores = new Semaphores(store, real, { leaseMs: 60_000, timeoutMs: 120_000, maxWaiting: 10 });
    const semaphore = semaphores.semaphore({ name: 's', permits: 1 });
    const first = await semaphore.acquire({ tenantId });
    const second = semaphore.acquire({ tenantId });
    await direct.ping();
    const lost = gone(subscriber);
    await proxy.refuse();
    await lost;
    await first.release();
    await proxy.accept();
    expect((await second).held).toBe(true);
    await (await second).release();
    await semaphores.close();
  });
});
