import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisPermitStore } from '../src/adapters/redis/redis-permit.store.js';
import { RedisScripts } from '../src/adapters/redis/redis-scripts.js';
import { Semaphores } from '../src/core/semaphores.js';
import { connectTestRedis, requireTestRedisUrl } from '../src/testing/redis-connection.js';

const permits = 6;
const leaseMs = 1500;
const rounds = 4;
const processes = 6;
const tenantId = parseTenantId('acme');
const holder = new URL('./permit-holder.process.ts', import.meta.url).pathname;
const runtime = ['--conditions=@sparkle/source', '--import', '@swc-node/register/esm-register'];

describe('processes that are killed while they hold permits and wait for more', () => {
  const prefix = `t-${randomUUID()}`;
  const children = new Set<ChildProcess>();
  let client: Redis;
  let subscriber: Redis;
  let semaphores: Semaphores;

  beforeAll(() => {
    client = connectTestRedis();
    subscriber = connectTestRedis();
    const clock = new SystemClock();
    const store = new RedisPermitStore(new RedisScripts(client, clock, 5000), subscriber, prefix);
    semaphores = new Semaphores(store, clock, { leaseMs, timeoutMs: 600_000, maxWaiting: 1000 });
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await semaphores?.close();
    client?.disconnect();
    subscriber?.disconnect();
  });

  const start = () => {
    const args = [...runtime, holder, requireTestRedisUrl(), prefix, String(permits), String(leaseMs)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.add(child);
    return child;
  };
  const kill = async (child: ChildProcess) => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    children.delete(child);
  };
  const serverNow = async () => {
    const [seconds, microseconds] = await client.time();
    return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  };
  const leases = async () => {
    const flat = await client.zrange(`${prefix}:{acme}:permit:work:holders`, 0, -1, 'WITHSCORES');
    return flat.flatMap((value, i) => (i % 2 ? [Number(value)] : [])).sort((x, y) => x - y);
  };

  it(`give every permit back within one lease, ${rounds * processes} times, and none too early`, async () => {
    const semaphore = semaphores.semaphore({ name: 'work', permits });
    let lastToken = 0;
    for (let round = 0; round < rounds; round++) {
      const crew = Array.from({ length: processes }, start);
      const tokens: number[] = [];
      await new Promise<void>((resolve) => {
        for (const child of crew) {
          createInterface({ input: child.stdout! }).on('line', (line) => {
            tokens.push(Number(line.split(' ')[1]));
            if (tokens.length === permits) resolve();
          });
        }
      });
      expect(Math.min(...tokens)).toBeGreaterThan(lastToken);
      const waiting = Array.from({ length: permits }, () => semaphore.acquire({ tenantId }));
      expect(await semaphore.tryAcquire({ tenantId })).toBeUndefined();

      await Promise.all(crew.map(kill));
      const dead = await leases();
      const killedAt = await serverNow();
      expect(dead).toHaveLength(permits);
      expect(dead.at(-1)).toBeLessThanOrEqual(killedAt + leaseMs);

      const grantedAt = await Promise.all(
        waiting.map(async (grant) => {
          const permit = await grant;
          expect(permit.fencingToken).toBeGreaterThan(Math.max(...tokens));
          lastToken = Math.max(lastToken, permit.fencingToken);
          return serverNow();
        }),
      );
      // The first grant waits for the first lease, the second for the second, and so on.
      for (const [i, at] of grantedAt.sort((x, y) => x - y).entries()) {
        expect(at).toBeGreaterThanOrEqual(dead[i]!);
      }
      expect(await leases()).toHaveLength(permits);
      const held = await Promise.all(waiting);
      expect(await Promise.all(held.map((permit) => permit.release()))).toEqual(held.map(() => true));
    }
  }, 120_000);
});
