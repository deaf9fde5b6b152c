import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { connectTestRedis, requireTestRedisUrl } from '../src/testing/redis-connection.js';
import { HolderCrew } from './semaphore-holders.js';

const leaseMs = 1000;
const tenantId = parseTenantId('acme');

describe('a process that is paused for longer than its lease', () => {
  const prefix = `t-${randomUUID()}`;
  let crew: HolderCrew;
  let connections: Redis[];

  beforeEach(async () => {
    crew = await HolderCrew.prepare();
    connections = [connectTestRedis(), connectTestRedis()];
  });
  afterEach(() => {
    crew?.stop();
    for (const connection of connections ?? []) connection.disconnect();
  });

  it('knows that it has lost its permit before it acts on it again', async () => {
    const child = await crew.start({
      url: requireTestRedisUrl(),
      prefix,
      permits: [1],
      leaseMs,
      durable: true,
      skewMs: 0,
      lanes: 1,
      stepMs: 3000,
    });
    child.kill('SIGSTOP');
    const [client, subscriber] = connections as [Redis, Redis];
    expect(await client.hlen(`${prefix}:{acme}:permit:s0:holders`)).toBe(1);

    const clock = new SystemClock();
    const scripts = new RedisScripts(client, clock, 5000);
    const store = new RedisPermitStore(scripts, subscriber, prefix, { durable: true });
    const semaphores = new Semaphores(store, clock, { leaseMs, timeoutMs: 60_000, maxWaiting: 10 });
    const mine = await semaphores.semaphore({ name: 's0', permits: 1 }).acquire({ tenantId });
    const itsToken = crew.lines()[0]!.token;
    expect(mine.fencingToken).toBeGreaterThan(itsToken);

    // It finds out, gives up and waits for the permit that we hold; once it has that, it says so again.
    child.kill('SIGCONT');
    while ((await client.zcard(`${prefix}:{acme}:permit:s0:queue`)) === 0);
    expect(mine.held).toBe(true);
    const heldAgain = once(child.stdout!, 'data');
    await mine.release();
    await heldAgain;

    const lines = crew.lines();
    const before = lines.filter(({ token }) => token === itsToken);
    expect(before.map(({ what }) => what)).toContain('lost');
    // A token is the server's time of the grant, in microseconds.
    for (const { at } of before) expect(at).toBeLessThan(mine.fencingToken);
    expect(lines.at(-1)!.token).toBeGreaterThan(mine.fencingToken);
  });
});
