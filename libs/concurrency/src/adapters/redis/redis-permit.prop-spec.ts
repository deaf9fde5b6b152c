import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Grant, PermitStore } from '../../ports/permit-store.port.js';
import { connectTestRedis } from '../../testing/redis-connection.js';
import { MemoryPermitStore } from '../memory/memory-permit.store.js';
import { RedisPermitStore } from './redis-permit.store.js';
import { RedisScripts } from './redis-scripts.js';

const tenants = ['acme', 'beta', 'gamma'].map((id) => parseTenantId(id));
const commands = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('acquire' as const),
        tenant: fc.nat(2),
        wait: fc.constantFrom(true, true, true, false),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat() }) },
  ),
  { minLength: 30, maxLength: 120 },
);

describe('permits in Redis', () => {
  const prefix = `t-${randomUUID()}`;
  let connections: Redis[] = [];
  let redis: RedisPermitStore;

  beforeAll(() => {
    connections = [connectTestRedis(), connectTestRedis()];
    const scripts = new RedisScripts(connections[0]!, new SystemClock(), 5000);
    redis = new RedisPermitStore(scripts, connections[1]!, prefix, { durable: true });
  });
  afterAll(() => {
    for (const connection of connections) connection.disconnect();
  });

  it('are granted, queued, handed on and cancelled exactly as in memory', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 4 }), commands, async (permits, schedule) => {
        const pool = { id: `{shared.s}:permit:${randomUUID()}`, permits, leaseMs: 60_000 };
        const run = async (store: PermitStore) => {
          const grants: Grant[] = [];
          let expected = Number.POSITIVE_INFINITY;
          let complete = () => {};
          const stop = await store.listen(
            (poolId, grant) => {
              if (poolId !== pool.id) return;
              grants.push(grant);
              if (grants.length >= expected) complete();
            },
            () => {},
          );
          // Held throughout: memory forgets whose turn it is as soon as a pool is idle, Redis a minute later.
          const pinned = `${store.ownerId}:${pool.id.slice(-6)}-pinned`;
          await store.acquire({ pool, tenantId: tenants[0]!, permitId: pinned, wait: false, maxWaiting: 8 });
          const ids: string[] = [];
          const outcomes: unknown[] = [];
          for (const [i, command] of schedule.entries()) {
            if (command.do === 'acquire') {
              const permitId = `${store.ownerId}:${pool.id.slice(-6)}-${i}`;
              const tenantId = tenants[command.tenant]!;
              const request = { pool, tenantId, permitId, wait: command.wait, maxWaiting: 8 };
              outcomes.push((await store.acquire(request)).outcome);
              ids.push(permitId);
            } else {
              const recent = ids.slice(-10);
              const permitId =
                recent[command.which % Math.max(1, recent.length)] ?? `${store.ownerId}:nobody`;
              outcomes.push(await store.release(pool, permitId));
            }
          }
          const finish = async (count: number) => {
            await new Promise<void>((resolve) => {
              expected = count;
              complete = resolve;
              if (grants.length >= count) resolve();
            });
            await stop();
            const tokens = grants.map(({ fencingToken }) => fencingToken);
            expect(tokens).toEqual([...new Set(tokens)].sort((x, y) => x - y));
            return { outcomes, order: grants.map(({ permitId }) => permitId.split('-').at(-1)) };
          };
          return { outcomes, finish };
        };
        const model = await (await run(new MemoryPermitStore(new TestClock()))).finish(0);
        const inRedis = await run(redis);
        expect(inRedis.outcomes).toEqual(model.outcomes);
        expect(await inRedis.finish(model.order.length)).toEqual(model);
      }),
      { numRuns: 100 },
    );
  });

  it('keep no key without an end', async () => {
    const pool = { id: `{acme}:permit:${randomUUID()}`, permits: 1, leaseMs: 1000 };
    for (const id of ['a', 'b', 'c']) {
      const permitId = `${redis.ownerId}:${pool.id.slice(-6)}-${id}`;
      await redis.acquire({ pool, tenantId: tenants[0]!, permitId, wait: true, maxWaiting: 5 });
    }
    for (const part of ['holders', 'queue', 'owners', 'meta']) {
      const ttl = await connections[0]!.pttl(`${prefix}:${pool.id}:${part}`);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(62_000);
    }
  });
});
