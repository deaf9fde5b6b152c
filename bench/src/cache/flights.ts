import { median } from '../interleaved.js';
import type { Report } from '../report.js';
import { Fleet } from './processes.js';
import { TWO_TIER_SYSTEMS } from './systems.js';

const ROUNDS = 5;
const CALLS = 250;

/**
 * How often a loader runs when 4 processes × 250 callers ask for one cold key at once, for a loader that answers
 * and for one that throws; of the throwing one also how many ran at once.
 */
export async function measureFlights(report: Report): Promise<void> {
  for (const { system } of TWO_TIER_SYSTEMS) {
    const fleet = await Fleet.start(system, { ttlMs: 60_000 });
    const figures = { loads: [] as number[], failing: [] as number[], together: [] as number[] };
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const order = { kind: 'together', calls: CALLS } as const;
        const answered = await fleet.order({ ...order, key: `cold-${round}`, fails: false });
        if (answered.errors > 0) throw new Error(`${system}: ${answered.errors} callers got an error`);
        const failed = await fleet.order({ ...order, key: `failing-${round}`, fails: true });
        if (failed.errors !== failed.calls)
          report.note(`${system}: ${failed.calls - failed.errors} callers of a failing loader got no error`);
        figures.loads.push(await fleet.loadsOf(`cold-${round}`));
        figures.failing.push(await fleet.loadsOf(`failing-${round}`));
        figures.together.push(await fleet.mostAtOnce(`failing-${round}`));
      }
    } finally {
      await fleet.stop();
    }
    report.add('single_flight_calls_4x250', median(figures.loads), 'calls', { system });
    report.add('throwing_loader_calls', median(figures.failing), 'calls', { system });
    report.add('throwing_loader_peak_concurrency', Math.max(...figures.together), 'calls', { system });
  }
}
