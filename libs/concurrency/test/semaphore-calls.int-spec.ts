import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { passServerTime } from '../src/testing/server-time.js';

const tenantId = parseTenantId('acme');

describe('what permits cost Redis', () => {
  let server: RedisServer;
  let probe: Redis;
  const connections: Redis[] = [];
  const connect = () => {
    const connection = new Redis(server.url);
    connections.push(connection);
    return connection;
  };
  /** Another process, as far as the permits can tell. */
  const open = (prefix: string) => {
    const clock = new SystemClock();
    const scripts = new RedisScripts(connect(), clock, 5000);
    const store = new RedisPermitStore(scripts, connect(), prefix, { durable: true });
    return new Semaphores(store, clock, { leaseMs: 60_000, timeoutMs: 120_000, maxWaiting: 1000 });
  };
  /** Commands that clients have sent: what scripts call counts under other names. */
  const sent = async () => {
    const stats = await probe.info('commandstats');
    const lines = [...stats.matchAll(/cmdstat_(evalsha|eval|subscribe):calls=(\d+)/g)];
    return lines.reduce((total, [, , calls]) => total + Number(calls), 0);
  };

  beforeAll(async () => {
    server = await RedisServer.start();
    probe = connect();
  });
  afterAll(async () => {
    for (const connection of connections) connection.disconnect();
    await server?.stop();
  });

  it('is at most four calls per grant when 64 callers of four processes compete for 4 permits', async () => {
    const prefix = `t-${randomUUID()}`;
    const processes = Array.from({ length: 4 }, () => open(prefix));
    const before = await sent();
    let grants = 0;
    const lane = async (index: number) => {
      const semaphore = processes[index % 4]!.semaphore({ name: 's', permits: 4 });
      while (grants < 1000) {
        grants += 1;
        await semaphore.withPermit(() => new Promise((resolve) => setImmediate(resolve)), { tenantId });
      }
    };
    await Promise.all(Array.from({ length: 64 }, (_, index) => lane(index)));
    expect(((await sent()) - before) / grants).toBeLessThanOrEqual(4);
    await Promise.all(processes.map((semaphores) => semaphores.close()));
  });

  it('is nothing while callers wait', async () => {
    const semaphores = open(`t-${randomUUID()}`);
    const semaphore = semaphores.semaphore({ name: 's', permits: 1 });
    const first = await semaphore.acquire({ tenantId });
    const waiting = Array.from({ length: 50 }, () => semaphore.acquire({ tenantId }));
    expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    const before = await sent();
    await passServerTime(probe, 500);
    expect(await sent()).toBe(before);
    await first.release();
    for (const permit of waiting) await (await permit).release();
  });
});
