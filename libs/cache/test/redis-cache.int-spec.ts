import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { parseTenantId } from '@sparkle/contracts';
import { TcpProxy } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../src/core/cache.service.js';
import { openRedis, redisUrl } from './required-services.js';

const prefix = `sparkle-test:${process.pid}:${Date.now()}:cache`;
const scope = { tenantId: parseTenantId('acme'), namespace: 'flights' };

describe('four processes on one Redis', () => {
  const keyPrefix = `${prefix}:fork`;
  let children: ChildProcess[];
  let redis: Redis;

  beforeAll(async () => {
    redis = await openRedis();
    children = Array.from({ length: 4 }, () =>
      fork(new URL('./flight-child.ts', import.meta.url), [keyPrefix.replaceAll('/', '.'), `${prefix}:bus`], {
        execArgv: ['--conditions=@sparkle/source', '--import', '@swc-node/register/esm-register'],
        cwd: new URL('..', import.meta.url).pathname,
      }),
    );
    await Promise.all(children.map((child) => once(child, 'message')));
  });
  afterAll(async () => {
    for (const child of children ?? []) child.kill();
    await redis?.quit();
  });

  async function ask(message: object, asked = children): Promise<string[]> {
    const replies = asked.map((child) => once(child, 'message') as Promise<[string[]]>);
    for (const child of asked) child.send(message);
    return (await Promise.all(replies)).flatMap(([outcomes]) => outcomes);
  }
  const loads = async (key: string) => Number(await redis.get(`${keyPrefix}:loads:${key}`));

  it('answer a thousand concurrent callers with one load', async () => {
    const outcomes = await ask({ key: 'hot' });
    expect(outcomes).toHaveLength(1000);
    expect(new Set(outcomes)).toEqual(new Set(['value']));
    expect(await loads('hot')).toBe(1);
  });

  it('tell a thousand concurrent callers of one failed load', async () => {
    const outcomes = await ask({ key: 'broken', fails: true });
    expect(outcomes).toHaveLength(1000);
    expect(outcomes.every((outcome) => outcome.includes('loader failed'))).toBe(true);
    expect(await loads('broken')).toBe(1);
  });

  it('replace a rebuilder that was killed', async () => {
    const [victim, ...others] = children;
    if (!victim) throw new Error('no child');
    victim.send({ key: 'orphan', dies: true });
    await once(victim, 'exit');
    expect(await loads('orphan')).toBe(1);
    const outcomes = await ask({ key: 'orphan' }, others);
    expect(new Set(outcomes)).toEqual(new Set(['value']));
    expect(await loads('orphan')).toBe(2);
  });
});

describe('a Redis that stalls or refuses', () => {
  let proxy: TcpProxy;
  let connections: Redis[];
  let bus: RedisInvalidationBus;
  let cache: CacheService;

  beforeEach(async () => {
    proxy = await TcpProxy.to(redisUrl());
    connections = [await openRedis(proxy.redisUrl), await openRedis(proxy.redisUrl)];
    const [client, subscriber] = connections as [Redis, Redis];
    bus = new RedisInvalidationBus({
      publisher: client,
      subscriber,
      channel: `${prefix}:${proxy.port}`,
      heartbeatMs: 100,
    });
    cache = new CacheService(
      { store: new RedisCacheStore(client, { keyPrefix: `${prefix}:${proxy.port}` }), bus },
      { l2: { probeEveryMs: 50 } },
    );
    await vi.waitFor(() => expect(bus.connected).toBe(true));
  });
  afterEach(async () => {
    cache?.close();
    bus?.close();
    for (const connection of connections ?? []) connection.disconnect();
    await proxy?.close();
  });

  for (const [what, fail, mend] of [
    ['stalled', () => proxy.stall(), () => proxy.resume()],
    ['refusing', () => proxy.refuse(), () => proxy.accept()],
  ] as const) {
    it(`is done without while ${what}, left alone after a few failures, and used again once back`, async () => {
      await cache.set(scope, 'known', 'kept');
      await fail();
      for (let index = 0; index < 8; index++)
        expect(await cache.getOrSet(scope, `k${index}`, () => index)).toBe(index);
      expect(cache.storeAvailable).toBe(false);
      await vi.waitFor(() => expect(bus.connected).toBe(false), { timeout: 5_000 });
      expect(await cache.getOrSet(scope, 'known', () => 'reloaded')).toBe('kept');
      await mend();
      await vi.waitFor(() => expect(cache.storeAvailable && bus.connected).toBe(true), { timeout: 10_000 });
      await cache.set(scope, 'after', 'stored');
      expect(await cache.peek(scope, 'after')).toMatchObject({ value: 'stored' });
    });

    it(`hears of an invalidation made while ${what} before it is read again`, async () => {
      await cache.set(scope, 'k', 'old');
      await fail();
      expect(await cache.delete(scope, 'k')).toBe('deferred');
      expect(await cache.get(scope, 'k')).toBeUndefined();
      await mend();
      const own = await openRedis();
      connections.push(own);
      const witness = new RedisCacheStore(own, { keyPrefix: `${prefix}:${proxy.port}` });
      await vi.waitFor(
        async () => expect((await witness.read(scope, ['r.k'])).entries).toEqual([undefined]),
        { timeout: 10_000 },
      );
    });
  }
});
