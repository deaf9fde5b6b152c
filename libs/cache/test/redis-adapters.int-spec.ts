import { readdirSync, readFileSync } from 'node:fs';
import { TcpProxy } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { scripts } from '../src/lua/scripts.js';
import { cacheStoreContract } from '../src/testing/cache-store.contract.js';
import { invalidationBusContract } from '../src/testing/invalidation-bus.contract.js';
import { redisBuses, waitOn } from './redis-harness.js';
import { openRedis, redisUrl } from './required-services.js';

const prefix = `sparkle-test:${process.pid}:${Date.now()}`;
let redis: Redis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(async () => {
  await redis.quit();
});

cacheStoreContract('redis', async () => ({
  store: new RedisCacheStore(redis, { keyPrefix: prefix }),
  advance: (ms) => waitOn(() => redis.time(), ms),
}));

invalidationBusContract('redis', async () => {
  const proxy = await TcpProxy.to(redisUrl());
  return redisBuses(proxy, `${prefix}:bus:${proxy.port}`, await openRedis(), await openRedis());
});

describe('Lua scripts', () => {
  const folder = new URL('../src/lua/', import.meta.url);

  it('are all described, and each header agrees with its file name', () => {
    const files = readdirSync(folder)
      .filter((file) => file.endsWith('.lua'))
      .map((file) => file.slice(0, -4))
      .sort();
    expect(
      Object.values(scripts)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(files);
    for (const { name, keyCount } of Object.values(scripts)) {
      const header = readFileSync(new URL(`${name}.lua`, folder), 'utf8').split('\n\n')[0] ?? '';
      const keys = [...header.matchAll(/^-- KEYS\[(\d)(…?)\] /gm)].map(
        ([, index, more]) => `${index}${more}`,
      );
      const expected =
        keyCount === 'n' ? ['1…'] : Array.from({ length: keyCount }, (_, index) => String(index + 1));
      expect(keys, name).toEqual(expected);
      expect(header, name).toContain('-- Returns');
    }
  });

  it('give every key they leave behind a time to live', async () => {
    const store = new RedisCacheStore(redis, { keyPrefix: `${prefix}:ttl` });
    const scope = { tenantId: 'acme' as never, namespace: 'n' };
    const request = { leaseMs: 5_000, tags: ['r.t'], since: 0, newerThan: 0 };
    const entry = {
      payload: '1',
      ttlMs: 1_000,
      graceMs: 0,
      loadMs: 0,
      negative: false,
      tags: ['r.t', 'r.u'],
    };
    await store.clear(scope.tenantId);
    const outcome = await store.acquireLease(scope, 'r.k', request);
    if (outcome.kind !== 'leased') throw new Error(outcome.kind);
    await store.write(scope, 'r.k', entry, outcome.token);
    const again = await store.acquireLease(scope, 'r.other', request);
    if (again.kind !== 'leased') throw new Error(again.kind);
    await store.releaseLease(scope, 'r.other', again.token, { reason: 'x', keepMs: 1_000 });
    const names = ['c', 'm:n', 'm:n:r.t', 'm:n:r.u', 'e:n:r.k', 'l:n:r.other'];
    for (const name of names)
      expect(await redis.pttl(`${prefix}:ttl:{acme}:${name}`), name).toBeGreaterThan(0);
  });

  it('run again after the server has forgotten them', async () => {
    const store = new RedisCacheStore(redis, { keyPrefix: `${prefix}:noscript` });
    const scope = { tenantId: 'acme' as never, namespace: 'n' };
    await store.read(scope, ['r.a']);
    await redis.script('FLUSH');
    expect((await store.read(scope, ['r.a'])).entries).toEqual([undefined]);
  });
});
