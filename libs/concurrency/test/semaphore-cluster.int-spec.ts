import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisCluster } from '@sparkle/contracts/testing';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { semaphoreContract } from '../src/testing/semaphore.contract.js';

async function openCluster() {
  const cluster = await RedisCluster.start();
  const clock = new SystemClock();
  const prefix = `t-${randomUUID()}`;
  const connections: Cluster[] = [];
  const connect = () => {
    const connection = new Cluster([...cluster.endpoints]);
    connections.push(connection);
    return connection;
  };
  return {
    cluster,
    clock,
    // The nodes are younger than a lease and never restart.
    openStore: async () =>
      new RedisPermitStore(new RedisScripts(connect(), clock, 5000), connect(), prefix, { durable: true }),
    close: async () => {
      for (const connection of connections) connection.disconnect();
      await cluster.stop();
    },
  };
}

semaphoreContract('redis cluster', openCluster);

describe('waiters on a Redis Cluster', () => {
  let subject: Awaited<ReturnType<typeof openCluster>>;

  beforeAll(async () => {
    subject = await openCluster();
  });
  afterAll(async () => {
    await subject?.close();
  });

  it('are woken by a message, whichever node keeps the permits', async () => {
    // They look for themselves after a fifth of the lease: long after this test has failed.
    const settings = { leaseMs: 600_000, timeoutMs: 600_000, maxWaiting: 10 };
    const here = new Semaphores(await subject.openStore(), subject.clock, settings);
    const there = new Semaphores(await subject.openStore(), subject.clock, settings);
    for (let tenant = 0; tenant < 12; tenant++) {
      const tenantId = parseTenantId(`tenant-${tenant}`);
      const first = await here.mutex({ name: 'm' }).acquire({ tenantId });
      const second = there.mutex({ name: 'm' }).acquire({ tenantId });
      await there.mutex({ name: 'm' }).tryAcquire({ tenantId });
      await first.release();
      await (await second).release();
    }
    const scripts = await Promise.all(
      subject.cluster.nodes.map((node) => node.command('info', 'commandstats')),
    );
    for (const stats of scripts) expect(stats).toContain('cmdstat_evalsha');
    await Promise.all([here.close(), there.close()]);
  });
});
