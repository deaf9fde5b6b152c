import type { Report } from '../report.js';
import { Fleet } from './processes.js';
import { TWO_TIER_SYSTEMS } from './systems.js';

const TTL_MS = 1_000;
const CALLS_PER_SECOND = 1_000;
const SECONDS = 12;
const PROCESSES = 4;

/**
 * One key with a time to live of 1 s under 1000 calls a second, spread over 4 processes, with a loader of 30 ms:
 * the share of calls answered with a value that was there before they asked, and how often the loader ran per
 * time to live.
 */
export async function measureEarlyRefresh(report: Report): Promise<void> {
  for (const { system } of TWO_TIER_SYSTEMS) {
    const fleet = await Fleet.start(system, { ttlMs: TTL_MS, staleWhileRevalidate: true });
    try {
      const everyMs = (1000 * PROCESSES) / CALLS_PER_SECOND;
      // The first load is a miss for everybody; it is not what is asked about.
      await fleet.order({ kind: 'steady', key: 'hot', everyMs, forMs: 200 });
      const before = await fleet.loadsOf('hot');
      const { calls, hits } = await fleet.order({
        kind: 'steady',
        key: 'hot',
        everyMs,
        forMs: SECONDS * 1000,
      });
      report.add('xfetch_hit_rate', hits / calls, 'share', { system });
      report.add('xfetch_rebuilds_per_ttl', ((await fleet.loadsOf('hot')) - before) / SECONDS, 'loads', {
        system,
      });
    } finally {
      await fleet.stop();
    }
  }
}
