import type { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import { type Deployment, deployments, openConnection } from './deployments.js';

const WITHIN = { timeout: 15_000, interval: 20 };

describe('a Redis Cluster that loses a node', () => {
  let deployment: Deployment;
  let connections: (Redis | Cluster)[];
  let members: { cache: CacheService; bus: RedisInvalidationBus }[];
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);

  beforeAll(async () => {
    process.on('unhandledRejection', onUnhandled);
    deployment = await deployments[1]!.start();
    // As the guide asks for: slots without a node are no reason for the others to stop serving theirs.
    for (const node of deployment.nodes)
      await node.command('config', 'set', 'cluster-require-full-coverage', 'no');
    connections = await Promise.all(Array.from({ length: 4 }, () => openConnection(deployment.address)));
    members = [0, 2].map((index) => {
      const [client, subscriber] = connections.slice(index) as [Redis, Redis];
      const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: 100 });
      const options = { l2: { budgetMs: 500, probeEveryMs: 50 }, policy: { jitter: 0 } };
      return { bus, cache: new CacheService({ store: new RedisCacheStore(client), bus }, options) };
    });
    await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), WITHIN);
  });
  afterAll(async () => {
    for (const { cache, bus } of members ?? []) {
      cache.close();
      bus.close();
    }
    for (const connection of connections ?? []) connection.disconnect();
    await deployment?.stop();
    process.off('unhandledRejection', onUnhandled);
  });

  it('serves the tenants of the others from the second tier, and those of the lost one from their loaders', async () => {
    const [first, second] = members.map(({ cache }) => cache) as [CacheService, CacheService];
    const [lost, ...others] = deployment.tenants.map((tenantId) => ({ tenantId, namespace: 'courses' }));
    for (const scope of [lost!, ...others])
      for (const key of ['before', 'untouched'])
        await vi.waitFor(async () => {
          await first.set(scope, key, 'stored');
          expect(await second.peek(scope, key)).toMatchObject({ value: 'stored', tier: 'l2' });
        }, WITHIN);
    await deployment.nodes[0]!.kill();

    for (let round = 0; round < 3; round++) {
      // More failures in a row than it takes to leave a Redis alone.
      for (let call = 0; call < 8; call++)
        expect(await first.getOrSet(lost!, `k ${round} ${call}`, () => round)).toBe(round);
      for (const scope of others) {
        expect(await first.getOrSet(scope, `k ${round}`, () => round)).toBe(round);
        expect(await second.peek(scope, `k ${round}`)).toMatchObject({ value: round, tier: 'l2' });
      }
    }
    for (const scope of others) {
      expect(await second.get(scope, 'before')).toBe('stored');
      expect(await second.getOrSet(scope, 'untouched', () => 'loaded')).toBe('stored');
      await vi.waitFor(async () => expect(await first.delete(scope, 'before')).toBe('applied'), WITHIN);
      await vi.waitFor(async () => expect(await second.get(scope, 'before')).toBeUndefined(), WITHIN);
    }
    expect(await first.delete(lost!, 'before')).toBe('deferred');
    expect(unhandled).toEqual([]);
  }, 60_000);
});
