import { parseTenantId } from '@sparkle/contracts';
import { RedisCluster, RedisServer, TcpProxy } from '@sparkle/contracts/testing';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../src/core/cache.service.js';
import { CacheOptionsInvalidError } from '../src/errors.js';
import { cacheStoreContract } from '../src/testing/cache-store.contract.js';
import { invalidationBusContract } from '../src/testing/invalidation-bus.contract.js';
import { redisBuses, waitOn } from './redis-harness.js';
import { FAIL_FAST, openRedis } from './required-services.js';

let servers: RedisCluster;
let cluster: Cluster;

async function openCluster(): Promise<Cluster> {
  const connection = new Cluster([...servers.endpoints], {
    lazyConnect: true,
    enableOfflineQueue: false,
    redisOptions: { maxRetriesPerRequest: 0 },
  });
  connection.on('error', () => undefined);
  await connection.connect();
  return connection;
}

beforeAll(async () => {
  servers = await RedisCluster.start();
  cluster = await openCluster();
});
afterAll(async () => {
  cluster?.disconnect();
  await servers?.stop();
});

cacheStoreContract('redis cluster', async () => ({
  store: new RedisCacheStore(cluster),
  advance: (ms) => waitOn(() => cluster.nodes('master')[0]!.time(), ms),
}));

invalidationBusContract('redis cluster', async () => {
  // One end speaks to the cluster, the other to one of its nodes, which passes messages on to all.
  const node = servers.nodes[1] as RedisServer;
  const proxy = await TcpProxy.to(node.url);
  return redisBuses(proxy, `bus:${proxy.port}`, await openCluster(), await openCluster());
});

describe('the cache on Redis Cluster', () => {
  it('serves tenants of every node, all at once, and tells other processes of changes in the same step', async () => {
    const connections = await Promise.all(Array.from({ length: 4 }, openCluster));
    const [client, subscriber, otherClient, otherSubscriber] = connections as [
      Cluster,
      Cluster,
      Cluster,
      Cluster,
    ];
    const processes = [[client, subscriber] as const, [otherClient, otherSubscriber] as const].map(
      ([publisher, listener]) => {
        const bus = new RedisInvalidationBus({ publisher, subscriber: listener, channel: 'tenants' });
        const cache = new CacheService(
          { store: new RedisCacheStore(publisher), bus },
          { l2: { budgetMs: 5_000 } },
        );
        return { bus, cache };
      },
    );
    await vi.waitFor(() => expect(processes.every(({ bus }) => bus.connected)).toBe(true));
    const [first, second] = processes.map(({ cache }) => cache) as [CacheService, CacheService];
    const scopes = Array.from({ length: 12 }, (_, index) => ({
      tenantId: parseTenantId(`tenant-${index}`),
      namespace: 'courses',
    }));
    await Promise.all(scopes.map((scope, index) => first.set(scope, 'k', index, { tags: ['t'] })));
    expect(await Promise.all(scopes.map((scope) => second.get(scope, 'k')))).toEqual(
      scopes.map((_, index) => index),
    );
    const published = vi.spyOn(client, 'publish');
    await Promise.all(scopes.map((scope) => first.deleteByTag(scope, 't')));
    await vi.waitFor(async () =>
      expect(await Promise.all(scopes.map((scope) => second.get(scope, 'k')))).toEqual(
        scopes.map(() => undefined),
      ),
    );
    expect(published.mock.calls.filter(([channel]) => channel === 'tenants')).toEqual([]);
    for (const { bus, cache } of processes) {
      cache.close();
      bus.close();
    }
    for (const connection of connections) connection.disconnect();
  });

  it('refuses tracking, which each node would do for itself', async () => {
    const redis = await openRedis(servers.nodes[0]!.url, FAIL_FAST);
    const tracking = { keyPrefix: 'sparkle:cache' };
    for (const [publisher, subscriber] of [
      [cluster, redis],
      [redis, cluster],
    ] as const)
      expect(() => new RedisInvalidationBus({ publisher, subscriber, tracking })).toThrow(
        CacheOptionsInvalidError,
      );
    redis.disconnect();
  });

  it('never looks through keys: no KEYS, SCAN or FLUSH reached a server in all of this', async () => {
    for (const node of servers.nodes) {
      const stats = await node.command('info', 'commandstats');
      expect(stats).toContain('cmdstat_mget');
      expect(stats).not.toMatch(/cmdstat_(keys|scan|sscan|hscan|zscan|flushall|flushdb|randomkey)/);
    }
  });
});
