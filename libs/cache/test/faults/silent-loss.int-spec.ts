import { parseTenantId } from '@sparkle/contracts';
import type { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import { openRedis } from '../required-services.js';
import { commandCalls, type Deployment, deployments, openConnection } from './deployments.js';

const WITHIN = { timeout: 10_000, interval: 5 };
const scope = { tenantId: parseTenantId('acme'), namespace: 'courses' };

describe.each(deployments)(
  'a subscription that is lost and made anew by the client, on $name',
  ({ start }) => {
    let deployment: Deployment;
    let connections: (Redis | Cluster)[];
    let consoles: Redis[];
    let members: { cache: CacheService; bus: RedisInvalidationBus }[];

    beforeAll(async () => {
      deployment = await start();
      consoles = await Promise.all(deployment.nodes.map(({ url }) => openRedis(url)));
      connections = await Promise.all(Array.from({ length: 4 }, () => openConnection(deployment.address)));
      members = [0, 2].map((index) => {
        const [client, subscriber] = connections.slice(index) as [Redis, Redis];
        const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: 100 });
        const options = { l2: { budgetMs: 5_000 } };
        return { bus, cache: new CacheService({ store: new RedisCacheStore(client), bus }, options) };
      });
      await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), WITHIN);
    });
    afterAll(async () => {
      for (const { cache, bus } of members ?? []) {
        cache.close();
        bus.close();
      }
      for (const connection of [...(connections ?? []), ...(consoles ?? [])]) connection.disconnect();
      await deployment?.stop();
    });

    it('leaves nothing stale in memory for longer than a few heartbeats, whatever was said in between', async () => {
      const [writer, reader] = members as [(typeof members)[0], (typeof members)[0]];
      const beats = async () => (await commandCalls(deployment)).get('publish') ?? 0;
      for (let loss = 0; loss < 5; loss++) {
        await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), WITHIN);
        const key = `k${loss}`;
        await writer.cache.set(scope, key, 'old');
        await vi.waitFor(async () => expect(await reader.cache.get(scope, key)).toBe('old'), WITHIN);
        // Before the client has subscribed again.
        await Promise.all(consoles.map((node) => node.call('client', 'kill', 'type', 'pubsub')));
        expect(await writer.cache.delete(scope, key)).toBe('applied');
        // Three heartbeats of both, each published twice.
        const from = await beats();
        await vi.waitFor(async () => expect(await beats()).toBeGreaterThanOrEqual(from + 12), WITHIN);
        expect(await reader.cache.get(scope, key)).toBeUndefined();
      }
    });
  },
);
