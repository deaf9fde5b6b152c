import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { HolderCrew, mostAtOnce, tokensGrow } from './semaphore-holders.js';

/** How many processes are killed; 1000 takes some minutes. */
const kills = Number(process.env.TEST_KILLS ?? 150);
const crewSize = 6;
const leaseMs = 700;
const permits = [1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5];
const skews = [-60_000, 0, 60_000];
const tenantId = parseTenantId('acme');

describe('processes that are killed while they hold permits and wait for more', () => {
  const prefix = `t-${randomUUID()}`;
  let server: RedisServer;
  let crew: HolderCrew;

  beforeEach(async () => {
    crew = await HolderCrew.prepare();
  });
  afterEach(async () => {
    crew?.stop();
    await server?.stop();
  });

  const orders = (index: number, durable: boolean) => ({
    url: server.url,
    prefix,
    permits,
    leaseMs,
    durable,
    skewMs: skews[index % skews.length]!,
    lanes: 3,
    stepMs: 50,
  });

  /** Kills so many processes, a few at a time, and restarts the server between some of them. */
  const killMany = async (count: number, durable: boolean, restarts: number) => {
    let started = 0;
    let restarting = Promise.resolve();
    const lane = async () => {
      while (started < count) {
        const index = started++;
        if (index > 0 && index % Math.ceil(count / (restarts + 1)) === 0) {
          restarting = restarting.then(() => server.restart());
        }
        await crew.kill(await crew.start(orders(index, durable)));
      }
    };
    await Promise.all(Array.from({ length: crewSize }, lane));
    await restarting;
  };

  const expectNoneOverAdmitted = () => {
    const holds = crew.holds();
    expect(holds.length).toBeGreaterThan(kills / 2);
    for (const [pool, most] of permits.entries()) {
      expect(mostAtOnce(holds, pool)).toBeLessThanOrEqual(most);
      expect(tokensGrow(holds, pool)).toBe(true);
    }
  };

  it(`never hold more than there are: ${kills} kills, clocks a minute wrong, Redis restarts empty`, async () => {
    server = await RedisServer.start();
    await killMany(kills, false, 2);
    expectNoneOverAdmitted();

    // What the dead held is free within one lease of the server's time, and all of it is handed on.
    const client = new Redis(server.url);
    const subscriber = new Redis(server.url);
    const [seconds, micros] = await client.time();
    const killedAtMs = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    const clock = new SystemClock();
    const store = new RedisPermitStore(new RedisScripts(client, clock, 5000), subscriber, prefix);
    const semaphores = new Semaphores(store, clock, { leaseMs, timeoutMs: 600_000, maxWaiting: 1000 });
    for (const [pool, count] of permits.entries()) {
      const leases = await client.hvals(`${prefix}:{acme}:permit:s${pool}:holders`);
      for (const lease of leases) {
        expect(Number(lease.split('|')[1])).toBeLessThanOrEqual(killedAtMs + leaseMs);
      }
      const semaphore = semaphores.semaphore({ name: `s${pool}`, permits: count });
      await Promise.all(Array.from({ length: count }, () => semaphore.acquire({ tenantId })));
      expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    }
    client.disconnect();
    subscriber.disconnect();
  }, 600_000);

  it('never hold more than there are when Redis restarts with its data', async () => {
    server = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    await killMany(30, true, 2);
    const holds = crew.holds();
    for (const [pool, most] of permits.entries()) {
      expect(mostAtOnce(holds, pool)).toBeLessThanOrEqual(most);
      expect(tokensGrow(holds, pool)).toBe(true);
    }
  }, 120_000);
});
