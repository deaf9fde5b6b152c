import type { RedisServer } from '@sparkle/contracts/testing';
import { type Crew, judge } from './crew.js';
import type { SystemName } from './systems.js';
import { SYSTEMS } from './systems.js';

const SKEWS = [-60_000, 0, 60_000];
const LEASE_MS = 600;

/** Six processes whose clocks differ by up to two minutes share two permits. The most holders over permits. */
export async function skewed(crew: Crew, server: RedisServer, system: SystemName): Promise<number> {
  const permits = Math.min(2, SYSTEMS[system].mostPermits);
  crew.forget();
  const started = Array.from({ length: 6 }, (_, index) =>
    crew.start({
      ...orders(server, system, [permits], SKEWS[index % SKEWS.length]!),
      prefix: `skew-${system}`,
      durable: true,
      lanes: 2,
    }),
  );
  const everyone = Promise.all(started.map((child) => child.catch(() => undefined)));
  // A process that never gets a permit never says that it has one.
  await Promise.race([everyone, pause(5000)]);
  await pause(2500);
  crew.killAll();
  return judge(crew.holds(), 0, permits).most / permits;
}

/** Kills processes that hold permits, while Redis restarts empty now and then. Grants beyond the permits. */
export async function killed(
  crew: Crew,
  server: RedisServer,
  system: SystemName,
  kills: number,
  restarts: number,
): Promise<number> {
  const most = SYSTEMS[system].mostPermits;
  const permits = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6].map((count) => Math.min(count, most));
  crew.forget();
  let started = 0;
  let restarting = Promise.resolve();
  const lane = async () => {
    while (started < kills) {
      const index = started++;
      if (index > 0 && index % Math.ceil(kills / (restarts + 1)) === 0) {
        restarting = restarting.then(() => server.restart());
      }
      const child = await crew.start(orders(server, system, permits, SKEWS[index % SKEWS.length]!));
      await crew.kill(child);
    }
  };
  await Promise.all(Array.from({ length: 6 }, lane));
  await restarting;
  const holds = crew.holds();
  return permits.reduce((total, count, pool) => total + judge(holds, pool, count).over, 0);
}

function orders(server: RedisServer, system: SystemName, permits: readonly number[], skewMs: number) {
  const prefix = `kill-${system}`;
  return {
    url: server.url,
    system,
    prefix,
    permits,
    leaseMs: LEASE_MS,
    durable: false,
    skewMs,
    lanes: 3,
    stepMs: 30,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
