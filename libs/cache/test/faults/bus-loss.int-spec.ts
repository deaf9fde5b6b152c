import { parseTenantId } from '@sparkle/contracts';
import { TcpProxy } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import type { CacheScope } from '../../src/core/cache-scope.js';
import { openRedis } from '../required-services.js';
import { cacheCommands, commandCalls, type Deployment, deployments } from './deployments.js';

const HEARTBEAT_MS = 100;
const WITHIN = { timeout: 10_000, interval: 20 };

const cuts: readonly {
  readonly how: string;
  cut(proxy: TcpProxy): unknown;
  heal(proxy: TcpProxy): unknown;
}[] = [
  { how: 'refused', cut: (proxy) => proxy.refuse(), heal: (proxy) => proxy.accept() },
  { how: 'stalled', cut: (proxy) => proxy.stall(), heal: (proxy) => proxy.resume() },
  { how: 'late by a second', cut: (proxy) => proxy.delay(1_000), heal: (proxy) => proxy.delay(0) },
];

describe.each(cuts)('while the subscription of a process is $how', ({ cut, heal }) => {
  let deployment: Deployment;
  let proxy: TcpProxy;
  let connections: Redis[];
  let writer: { cache: CacheService; bus: RedisInvalidationBus };
  let reader: { cache: CacheService; bus: RedisInvalidationBus };

  beforeAll(async () => {
    deployment = await deployments[0]!.start();
  });
  afterAll(() => deployment?.stop());

  beforeEach(async () => {
    const url = deployment.address as string;
    proxy = await TcpProxy.to(url);
    connections = await Promise.all([url, url, url, proxy.redisUrl].map((each) => openRedis(each)));
    const [first, second, third, proxied] = connections as [Redis, Redis, Redis, Redis];
    const member = (client: Redis, subscriber: Redis) => {
      const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: HEARTBEAT_MS });
      const options = { l2: { budgetMs: 5_000 } };
      return { bus, cache: new CacheService({ store: new RedisCacheStore(client), bus }, options) };
    };
    writer = member(first, second);
    reader = member(third, proxied);
    await vi.waitFor(() => expect(writer.bus.connected && reader.bus.connected).toBe(true), WITHIN);
  });
  afterEach(async () => {
    for (const { cache, bus } of [writer, reader]) {
      cache?.close();
      bus?.close();
    }
    for (const connection of connections ?? []) connection.disconnect();
    await proxy?.close();
  });

  /** Lets a second of heartbeats go by, of two processes that publish twice for each. */
  async function aSecond(): Promise<void> {
    const beats = async () => (await commandCalls(deployment)).get('publish') ?? 0;
    const from = await beats();
    await vi.waitFor(
      async () => expect(await beats()).toBeGreaterThanOrEqual(from + (4 * 1_000) / HEARTBEAT_MS),
      WITHIN,
    );
  }

  /** What can be changed, each in a tenant of its own. */
  const changes = {
    'delete-key': (where: CacheScope) => writer.cache.delete(where, 'k'),
    'set-key': (where: CacheScope) => writer.cache.set(where, 'k', 'new', { tags: ['t'] }),
    'delete-tag': (where: CacheScope) => writer.cache.deleteByTag(where, 't'),
    'clear-namespace': (where: CacheScope) => writer.cache.clear(where),
    'clear-tenant': ({ tenantId }: CacheScope) => writer.cache.clear({ tenantId }),
  };
  const scopes = Object.keys(changes).map((name) => ({
    tenantId: parseTenantId(name),
    namespace: 'courses',
  }));

  it('memory is confirmed with Redis, so that every change is seen, and nothing stale is served after', async () => {
    const get = () =>
      Promise.all(scopes.map((scope) => reader.cache.getOrSet(scope, 'k', () => 'new', { tags: ['t'] })));
    const all = (value: string) => scopes.map(() => value);
    for (const scope of scopes) await writer.cache.set(scope, 'k', 'old', { tags: ['t'] });
    await vi.waitFor(async () => expect(await get()).toEqual(all('old')), WITHIN);

    await cut(proxy);
    await vi.waitFor(() => expect(reader.bus.connected).toBe(false), WITHIN);
    const before = await cacheCommands(deployment);
    for (let read = 0; read < 5; read++) expect(await get()).toEqual(all('old'));
    expect(await cacheCommands(deployment)).toBeGreaterThanOrEqual(before + 5);
    await Promise.all(Object.values(changes).map((change, index) => change(scopes[index]!)));
    for (let read = 0; read < 20; read++) expect(await get()).toEqual(all('new'));
    await aSecond();
    expect(reader.bus.connected).toBe(false);
    expect(await get()).toEqual(all('new'));

    await heal(proxy);
    await vi.waitFor(async () => {
      expect(await get()).toEqual(all('new'));
      expect(reader.bus.connected).toBe(true);
    }, WITHIN);
    for (let read = 0; read < 20; read++) expect(await get()).toEqual(all('new'));
    for (const scope of scopes) await writer.cache.set(scope, 'k', 'newer');
    await vi.waitFor(async () => expect(await get()).toEqual(all('newer')), WITHIN);
  });
});
