import { measureEarlyRefresh } from './cache/early-refresh.js';
import { measureFlights } from './cache/flights.js';
import { IN_PROCESS_PEERS } from './cache/in-process-peers.js';
import { measureL1 } from './cache/l1.js';
import { measureL2 } from './cache/l2.js';
import { measureOutage } from './cache/outage.js';
import { TWO_TIER_PEERS } from './cache/systems.js';
import { Report } from './report.js';

const readers = TWO_TIER_PEERS.map(({ system, open }) => ({
  system,
  open: (url: string) => open(url, { ttlMs: 600_000, budgetMs: 5_000, memory: false }),
}));
const parts: Readonly<Record<string, (report: Report) => Promise<void>>> = {
  l1: (report) => measureL1(report, IN_PROCESS_PEERS),
  l2: (report) => measureL2(report, readers),
  flights: measureFlights,
  outage: measureOutage,
  refresh: measureEarlyRefresh,
};

// `--part l1` measures that one alone.
const at = process.argv.indexOf('--part');
const chosen = at < 0 ? Object.keys(parts) : [process.argv[at + 1] ?? ''];
const report = new Report('cache');
for (const name of chosen) {
  const measure = parts[name];
  if (!measure) throw new RangeError(`--part is one of ${Object.keys(parts).join(', ')}`);
  await measure(report);
}
process.stdout.write(report.render(process.argv));
// Some peers keep timers and connections after they were closed.
process.exit(0);
