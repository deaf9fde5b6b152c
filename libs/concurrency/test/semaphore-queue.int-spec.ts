import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { connectTestRedis } from '../src/testing/redis-connection.js';

const acme = parseTenantId('acme');
/** No lease ends, and nobody looks for themselves, while this runs. */
const settings = { leaseMs: 600_000, timeoutMs: 600_000, maxWaiting: 1000 };

describe('the queue for permits in Redis', () => {
  const prefix = `t-${randomUUID()}`;
  let connections: Redis[] = [];

  afterEach(() => {
    for (const connection of connections) connection.disconnect();
    connections = [];
  });

  /** Another process, as far as the permits can tell. */
  const open = () => {
    const [client, subscriber] = [connectTestRedis(), connectTestRedis()];
    connections.push(client, subscriber);
    const clock = new SystemClock();
    const store = new RedisPermitStore(new RedisScripts(client, clock, 5000), subscriber, prefix, {
      durable: true,
    });
    return { client, subscriber, semaphores: new Semaphores(store, clock, settings) };
  };

  it('passes over a waiter whose process has just died, and grants it nothing', async () => {
    const { client, semaphores } = open();
    const mutex = semaphores.mutex({ name: 'dead' });
    const first = await mutex.acquire({ tenantId: acme });
    const dying = open();
    dying.semaphores
      .mutex({ name: 'dead' })
      .acquire({ tenantId: acme })
      .catch(() => {});
    while ((await client.zcard(`${prefix}:{acme}:permit:dead:queue`)) === 0);
    const next = mutex.acquire({ tenantId: acme });
    while ((await client.zcard(`${prefix}:{acme}:permit:dead:queue`)) === 1);
    const ended = once(dying.subscriber, 'end');
    dying.client.disconnect();
    dying.subscriber.disconnect();
    await ended;
    // Redis has noticed, too: its end of the connection is closed before it answers this.
    while ((await client.pubsub('NUMSUB', `${prefix}:grants:${ownerOf(dying.semaphores)}`))[1] !== 0);
    await first.release();
    expect((await next).held).toBe(true);
    await (await next).release();
  });

  it('is first come, first served, whichever process they come from', async () => {
    const processes = [open(), open(), open()];
    const mutexes = processes.map(({ semaphores }) => semaphores.mutex({ name: 'order' }));
    const first = await mutexes[0]!.acquire({ tenantId: acme });
    const waiting = [];
    for (let arrival = 0; arrival < 60; arrival++) {
      waiting.push(mutexes[arrival % 3]!.acquire({ tenantId: acme }));
      while ((await processes[0]!.client.zcard(`${prefix}:{acme}:permit:order:queue`)) <= arrival);
    }
    await first.release();
    const tokens: number[] = [];
    for (const permit of waiting) {
      const granted = await permit;
      tokens.push(granted.fencingToken);
      await granted.release();
    }
    expect(tokens).toEqual([...tokens].sort((left, right) => left - right));
  });

  it('is shared evenly by tenants, one of which has a hundred times as many callers', async () => {
    const { semaphores } = open();
    const semaphore = semaphores.semaphore({ name: 'share', permits: 2, scope: 'shared' });
    const grants = [0, 0, 0, 0];
    let total = 0;
    const lane = async (tenant: number) => {
      while (total < 1200) {
        await semaphore.withPermit(
          () => {
            total += 1;
            grants[tenant]! += 1;
            return new Promise((resolve) => setImmediate(resolve));
          },
          { tenantId: parseTenantId(`tenant-${tenant}`) },
        );
      }
    };
    await Promise.all(
      [200, 2, 2, 2].flatMap((callers, tenant) => Array.from({ length: callers }, () => lane(tenant))),
    );
    // Those of the busy tenant who were still waiting at the end are served after it.
    const served = grants.map((count, tenant) => (tenant === 0 ? count - (total - 1200) : count));
    const sum = served.reduce((all, count) => all + count, 0);
    const jain = sum ** 2 / (served.length * served.reduce((all, count) => all + count ** 2, 0));
    expect(jain).toBeGreaterThanOrEqual(0.95);
  });

  function ownerOf(semaphores: Semaphores): string {
    return (Reflect.get(semaphores, 'store') as RedisPermitStore).ownerId;
  }
});
