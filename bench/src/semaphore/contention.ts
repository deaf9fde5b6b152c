import type { RedisServer } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { connect, SYSTEMS, type SystemName } from './systems.js';

export interface Contention {
  /** Redis commands per grant. */
  readonly callsPerGrant: number;
  /** Share of grants that came after the grant of somebody who had arrived later. */
  readonly inversions: number;
  /** Time from the first arrival to the last release, over tasks × duration / permits. */
  readonly totalVsIdeal: number;
}

const WAITERS = 64;
const PERMITS = 4;
const TASK_MS = 10;
const ROUNDS_EACH = 4;

async function commandsSent(probe: Redis, system: SystemName): Promise<number> {
  const stats = await probe.info('commandstats');
  return SYSTEMS[system].commands.reduce((total, command) => {
    return total + Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  }, 0);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** 64 callers compete for four permits, each four times. One connection brings them in a certain order. */
export async function contend(server: RedisServer, system: SystemName, run: string): Promise<Contention> {
  const permits = Math.min(PERMITS, SYSTEMS[system].mostPermits);
  const options = { url: server.url, prefix: `contend-${run}`, leaseMs: 30_000, durable: true };
  const client = SYSTEMS[system].open(options);
  const probe = connect(server.url);
  await client.withPermit('warm', permits, 'acme', async () => {});
  const before = await commandsSent(probe, system);
  let arrivals = 0;
  const granted: number[] = [];
  const startedAt = performance.now();
  const lane = async () => {
    for (let round = 0; round < ROUNDS_EACH; round += 1) {
      const arrival = arrivals++;
      await client.withPermit('s', permits, 'acme', async () => {
        granted.push(arrival);
        await pause(TASK_MS);
      });
    }
  };
  const lanes: Promise<void>[] = [];
  for (let index = 0; index < WAITERS; index += 1) {
    lanes.push(lane());
    // Nobody can be told who came first of those who came together.
    await pause(1);
  }
  await Promise.all(lanes);
  const totalMs = performance.now() - startedAt;
  const sent = (await commandsSent(probe, system)) - before;
  probe.disconnect();
  await client.close();
  let latest = -1;
  let inverted = 0;
  for (const arrival of granted) {
    if (arrival < latest) inverted += 1;
    latest = Math.max(latest, arrival);
  }
  return {
    callsPerGrant: sent / granted.length,
    inversions: inverted / granted.length,
    totalVsIdeal: totalMs / ((granted.length * TASK_MS) / permits),
  };
}

/** One of four tenants keeps 100 times as many callers waiting as each other. Jain's index of their grants. */
export async function shareOut(server: RedisServer, system: SystemName, run: string): Promise<number> {
  const permits = Math.min(2, SYSTEMS[system].mostPermits);
  const options = { url: server.url, prefix: `share-${run}`, leaseMs: 30_000, durable: true };
  const client = SYSTEMS[system].open(options);
  const callers = [200, 2, 2, 2];
  const grants = callers.map(() => 0);
  const until = performance.now() + 2000;
  const lane = async (tenant: number) => {
    while (performance.now() < until) {
      await client.withPermit('s', permits, `tenant-${tenant}`, async () => {
        if (performance.now() > until) return;
        grants[tenant]! += 1;
        await pause(2);
      });
    }
  };
  await Promise.all(callers.flatMap((count, tenant) => Array.from({ length: count }, () => lane(tenant))));
  await client.close();
  const total = grants.reduce((sum, count) => sum + count, 0);
  return total ** 2 / (grants.length * grants.reduce((sum, count) => sum + count ** 2, 0));
}
