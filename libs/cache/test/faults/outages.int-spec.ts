import { readFile } from 'node:fs/promises';
import { type CacheEvent, channels, parseTenantId } from '@sparkle/contracts';
import { RedisServer, TcpProxy } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import { openRedis } from '../required-services.js';
import { faults } from './fault-table.js';

const scope = { tenantId: parseTenantId('acme'), namespace: 'courses' };
const WITHIN = { timeout: 10_000, interval: 20 };
/** Half of what one command waits for by default in ioredis when the server is gone. */
const BOUNDED_MS = 5_000;

describe.each(faults)('with Redis $name', (fault) => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let connections: Redis[];
  let members: { cache: CacheService; bus: RedisInvalidationBus }[];
  let events: CacheEvent[];
  let stopListening: () => void;
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);

  beforeEach(async () => {
    process.on('unhandledRejection', onUnhandled);
    server = await RedisServer.start();
    proxy = await TcpProxy.to(server.url);
    connections = await Promise.all(Array.from({ length: 4 }, () => openRedis(proxy.redisUrl)));
    members = [0, 2].map((index) => {
      const [client, subscriber] = connections.slice(index) as [Redis, Redis];
      const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: 100 });
      const cache = new CacheService(
        { store: new RedisCacheStore(client), bus },
        // Where Redis answers quickly, a busy machine must not look like an outage.
        { l2: { budgetMs: fault.leftAlone === 'yes' ? 50 : 5_000, probeEveryMs: 50 }, policy: { jitter: 0 } },
      );
      return { cache, bus };
    });
    await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), WITHIN);
    events = [];
    stopListening = channels.cache.subscribe((event) => events.push(event));
  });
  afterEach(async () => {
    stopListening?.();
    for (const { cache, bus } of members ?? []) {
      cache.close();
      bus.close();
    }
    for (const connection of connections ?? []) connection.disconnect();
    await proxy?.close();
    await server?.stop();
    process.off('unhandledRejection', onUnhandled);
  });

  it('callers get their values in bounded time, nothing invalidated comes back, and Redis is used again after', async () => {
    const [first, second] = members.map(({ cache }) => cache) as [CacheService, CacheService];
    for (const key of ['kept', 'doomed', 'tagged'])
      await vi.waitFor(async () => {
        await first.set(scope, key, 'old', { tags: key === 'kept' ? [] : ['t'] });
        expect(await second.peek(scope, key)).toMatchObject({ value: 'old', tier: 'l2' });
        expect(await second.get(scope, key)).toBe('old');
      }, WITHIN);

    await fault.begin(server, proxy);
    const began = performance.now();
    for (let index = 0; index < 30; index++) {
      const loader = vi.fn(() => `loaded ${index}`);
      expect(await first.getOrSet(scope, `new ${index}`, loader)).toBe(`loaded ${index}`);
      expect(loader).toHaveBeenCalledTimes(1);
    }
    expect(performance.now() - began).toBeLessThan(BOUNDED_MS);
    if (fault.leftAlone !== 'between probes') expect(first.storeAvailable).toBe(fault.leftAlone === 'no');
    const shared = vi.fn(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return 'shared';
    });
    const callers = Array.from({ length: 50 }, () => first.getOrSet(scope, 'shared', shared));
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['shared']));
    expect(shared).toHaveBeenCalledTimes(1);
    await expect(first.getOrSet(scope, 'broken', () => Promise.reject(new Error('down')))).rejects.toThrow(
      'down',
    );
    // Memory serves on, whatever has become of Redis.
    expect(await first.get(scope, 'kept')).toBe('old');
    expect(await first.getOrSet(scope, 'kept', () => 'reloaded')).toBe('old');

    expect(fault.invalidation).toContain(await first.delete(scope, 'doomed'));
    expect(await first.get(scope, 'doomed')).toBeUndefined();
    expect(['applied', 'deferred']).toContain(await first.deleteByTag(scope, 't'));
    expect(await first.get(scope, 'tagged')).toBeUndefined();
    expect(await first.getOrSet(scope, 'doomed', () => 'new')).toBe('new');
    await first.set(scope, 'written', 'meanwhile');
    expect(await first.get(scope, 'written')).toBe('meanwhile');
    const errors = events.filter(({ tier, outcome }) => tier === 'l2' && outcome === 'error');
    expect(errors.length > 0).toBe(fault.name !== 'flushed');

    await fault.end(server, proxy);
    const neverOld = async () => {
      expect(await first.get(scope, 'doomed')).not.toBe('old');
      expect(await first.get(scope, 'tagged')).not.toBe('old');
    };
    await vi.waitFor(async () => {
      expect(members.every(({ cache, bus }) => cache.storeAvailable && bus.connected)).toBe(true);
    }, WITHIN);
    await neverOld();
    await vi.waitFor(async () => {
      for (const key of ['doomed', 'tagged']) expect(await second.get(scope, key)).not.toBe('old');
    }, WITHIN);
    await vi.waitFor(async () => {
      await first.set(scope, 'after', 'stored');
      expect(await second.peek(scope, 'after')).toMatchObject({ value: 'stored', tier: 'l2' });
    }, WITHIN);
    await vi.waitFor(async () => {
      expect(await first.delete(scope, 'after')).toBe('applied');
    }, WITHIN);
    for (const { cache } of members)
      for (const key of ['doomed', 'tagged']) expect(await cache.get(scope, key)).not.toBe('old');
    expect(unhandled).toEqual([]);
  });
});

describe('a set that found no answer and arrives late', () => {
  it('is taken back by its process, so that a value deleted meanwhile is gone in the end', async () => {
    const server = await RedisServer.start();
    const proxy = await TcpProxy.to(server.url);
    const connections = await Promise.all(
      [proxy.redisUrl, proxy.redisUrl, server.url, server.url].map((url) => openRedis(url)),
    );
    const members = [0, 2].map((index) => {
      const [client, subscriber] = connections.slice(index) as [Redis, Redis];
      const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: 100 });
      const options = { l2: { budgetMs: index === 0 ? 50 : 5_000, probeEveryMs: 50 } };
      return { bus, cache: new CacheService({ store: new RedisCacheStore(client), bus }, options) };
    });
    onTestFinished(async () => {
      for (const { cache, bus } of members) {
        cache.close();
        bus.close();
      }
      for (const connection of connections) connection.disconnect();
      await proxy.close();
      await server.stop();
    });
    const [stuck, healthy] = members.map(({ cache }) => cache) as [CacheService, CacheService];
    await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), WITHIN);
    // The script is known, so that the write itself is what is under way.
    await vi.waitFor(async () => {
      await stuck.set(scope, 'k', 'early');
      expect(await healthy.peek(scope, 'k')).toMatchObject({ value: 'early', tier: 'l2' });
    }, WITHIN);

    proxy.stall();
    await stuck.set(scope, 'k', 'late');
    expect(await healthy.delete(scope, 'k')).toBe('applied');
    expect(await healthy.get(scope, 'k')).toBeUndefined();
    proxy.resume();
    // Whatever is applied on the same connection comes after the late write and what takes it back.
    await vi.waitFor(async () => expect(await stuck.delete(scope, 'other')).toBe('applied'), WITHIN);
    await vi.waitFor(async () => {
      for (const cache of [stuck, healthy]) expect(await cache.get(scope, 'k')).toBeUndefined();
    }, WITHIN);
    expect(await healthy.peek(scope, 'k')).toBeUndefined();
  });
});

describe('the guide', () => {
  it('has a line for every fault', async () => {
    const guide = await readFile(new URL('../../../../docs/guides/cache-faults.md', import.meta.url), 'utf8');
    for (const { name, invalidation } of faults) {
      const line = guide.split('\n').find((each) => each.startsWith(`| ${name} |`));
      for (const outcome of invalidation) expect(line, name).toContain(`\`${outcome}\``);
    }
  });
});
