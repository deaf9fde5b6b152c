import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import type { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import { type Action, Actor, actionOf, cellsOf } from './coherence-actions.js';
import { CoherenceModel } from './coherence-model.js';
import { commandCalls, type Deployment, deployments, openConnection } from './deployments.js';

const MEMBERS = 3;

describe.each(deployments)('reads of caches on $name', ({ start }) => {
  let deployment: Deployment;
  let connections: (Redis | Cluster)[];
  let members: { cache: CacheService; bus: RedisInvalidationBus }[];
  let runs = 0;

  beforeAll(async () => {
    deployment = await start();
    connections = await Promise.all(
      Array.from({ length: 2 * MEMBERS }, () => openConnection(deployment.address)),
    );
    members = Array.from({ length: MEMBERS }, (_, index) => {
      const [client, subscriber] = connections.slice(2 * index) as [Redis, Redis];
      const bus = new RedisInvalidationBus({ publisher: client, subscriber });
      const cache = new CacheService(
        { store: new RedisCacheStore(client), bus, random: new SeededRandom(index) },
        // Nobody here has reason to wait for a lease to run out; who does will not be back in time.
        { l2: { budgetMs: 10_000 }, policy: { leaseMs: 300_000 } },
      );
      return { cache, bus };
    });
    await vi.waitFor(() => expect(members.every(({ bus }) => bus.connected)).toBe(true), { timeout: 5_000 });
  });
  afterAll(async () => {
    for (const { cache, bus } of members ?? []) {
      cache.close();
      bus.close();
    }
    for (const connection of connections ?? []) connection.disconnect();
    await deployment?.stop();
  });

  /** Several tenants at once, so that their races overlap as they do in life. */
  async function race(seed: number, actions: readonly Action[]): Promise<void> {
    const random = new SeededRandom(seed);
    const pause = async () => {
      for (let turns = Math.floor(random.next() * 12); turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
    };
    const cells = cellsOf(parseTenantId(`tenant-${++runs}`));
    const model = new CoherenceModel(members, cells);
    const actor = new Actor(members, cells, model, pause);
    await Promise.all(
      actions.map(async (action) => {
        await pause();
        await pause();
        await actor.perform(action);
      }),
    );
    await vi.waitFor(() => expect(model.delivered).toBe(true), { timeout: 5_000, interval: 1 });
    await Promise.all(
      [...members.entries()].flatMap(([index, { cache }]) =>
        cells.map((cell) => model.read(index, cell, () => cache.get<number>(cell.scope, cell.key))),
      ),
    );
  }

  it('give nothing older than the last change they can know of, and wait for no lease, in 300 races', async () => {
    const actions = fc.array(actionOf(MEMBERS), { minLength: 6, maxLength: 16 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), actions, (seed, some) => race(seed, some)),
      { numRuns: 300, endOnFailure: true, timeout: 20_000 },
    );
    expect(await namesOf(deployment)).not.toContain('scan');
    expect(await namesOf(deployment)).not.toContain('keys');
  }, 60_000);
});

async function namesOf(deployment: Deployment): Promise<string[]> {
  return [...(await commandCalls(deployment)).keys()];
}
