import { randomUUID } from 'node:crypto';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { passServerTime } from '../src/testing/server-time.js';

const tenantId = parseTenantId('acme');
/** What the server's own statement of its age may be off by. */
const uptimeErrorMs = 1100;

describe('permits, when Redis restarts', () => {
  let server: RedisServer;
  let closing: (() => Promise<void> | void)[] = [];
  const prefix = `t-${randomUUID()}`;

  afterEach(async () => {
    for (const close of closing.reverse()) await close();
    closing = [];
    await server?.stop();
  });

  const connect = (to = server) => {
    const connection = new Redis(to.url, { retryStrategy: () => 20, maxRetriesPerRequest: 20 });
    connection.on('error', () => {});
    closing.push(() => connection.disconnect());
    return connection;
  };
  /** Another process, as far as the permits can tell. */
  const open = (leaseMs: number, durable: boolean, permits = 1, on = server) => {
    const clock = new SystemClock();
    const scripts = new RedisScripts(connect(on), clock, 5000);
    const store = new RedisPermitStore(scripts, connect(on), prefix, { durable });
    const semaphores = new Semaphores(store, clock, { leaseMs, timeoutMs: 60_000, maxWaiting: 10 });
    closing.push(() => semaphores.close());
    return { store, semaphore: semaphores.semaphore({ name: 's', permits }) };
  };

  it('without its data stay with their holders, and nobody else has them meanwhile', async () => {
    const leaseMs = 1000;
    server = await RedisServer.start();
    const client = connect();
    const holder = await open(leaseMs, false).semaphore.acquire({ tenantId });
    const { semaphore } = open(leaseMs, false);
    await server.restart();
    expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    let granted = false;
    const waiting = semaphore.acquire({ tenantId }).then((permit) => {
      granted = true;
      return permit;
    });
    await passServerTime(client, 2 * leaseMs + uptimeErrorMs);
    expect(granted).toBe(false);
    expect(holder.held).toBe(true);
    expect(await holder.release()).toBe(true);
    expect((await waiting).fencingToken).toBeGreaterThan(holder.fencingToken);
  });

  it('with older data admit nobody new for one lease, and somebody after it', async () => {
    const leaseMs = 1000;
    server = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    const { semaphore } = open(leaseMs, false, 2);
    const holder = await semaphore.acquire({ tenantId });
    await server.restart();
    expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    const next = await semaphore.acquire({ tenantId });
    expect(next.fencingToken).toBeGreaterThan(holder.fencingToken);
    expect(holder.held).toBe(true);
  });

  it('with everything it has answered go on at once, for whoever says that it is durable', async () => {
    const leaseMs = 60_000;
    server = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    const { semaphore } = open(leaseMs, true, 2);
    const holder = await semaphore.acquire({ tenantId });
    await server.restart();
    const next = await semaphore.tryAcquire({ tenantId });
    expect(next?.fencingToken).toBeGreaterThan(holder.fencingToken);
    expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    expect(await holder.release()).toBe(true);
    expect(await next!.release()).toBe(true);
  });

  it('are granted at once by a server that is older than a lease, however often a pool is new', async () => {
    const leaseMs = 200;
    server = await RedisServer.start();
    const client = connect();
    while (
      Number(/uptime_in_seconds:(\d+)/.exec(await client.info('server'))![1]) * 1000 <
      leaseMs + uptimeErrorMs
    );
    for (let pool = 0; pool < 3; pool++) {
      const { semaphore } = open(leaseMs, false);
      const permit = await semaphore.tryAcquire({ tenantId, key: `k${pool}` });
      expect(permit?.held).toBe(true);
      await permit!.release();
    }
  });

  it('on a replica that is promoted admit nobody new for one lease, and somebody after it', async () => {
    const leaseMs = 1000;
    server = await RedisServer.start();
    const replica = await RedisServer.start();
    closing.push(() => replica.stop());
    await replica.command('replicaof', '127.0.0.1', String(server.port));
    while (!(await replica.command('info', 'replication')).includes('master_link_status:up'));
    const holder = await open(leaseMs, false, 2).semaphore.acquire({ tenantId });
    expect(await server.command('wait', '1', '0')).toBe('1');
    // Older than a lease, so that only the promotion counts.
    const client = connect(replica);
    await passServerTime(client, leaseMs + uptimeErrorMs);
    await server.kill();
    await replica.command('replicaof', 'no', 'one');
    const { semaphore } = open(leaseMs, false, 2, replica);
    expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();
    const next = await semaphore.acquire({ tenantId });
    expect(next.fencingToken).toBeGreaterThan(holder.fencingToken);
    await next.release();
  });

  it('have greater fencing tokens than before although its clock was set back', async () => {
    server = await RedisServer.start();
    const { store, semaphore } = open(60_000, true);
    const seen = (Date.now() + 3_600_000) * 1000;
    // What this process would know if the server's clock had been an hour ahead.
    Reflect.set(store, 'lastToken', seen);
    const permit = await semaphore.acquire({ tenantId });
    expect(permit.fencingToken).toBeGreaterThan(seen);
    await permit.release();
  });
});
