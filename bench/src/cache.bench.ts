import { measureEarlyRefresh } from './cache/early-refresh.js';
import { measureFlights } from './cache/flights.js';
import { IN_PROCESS_PEERS } from './cache/in-process-peers.js';
import { measureL1 } from './cache/l1.js';
import { measureL2 } from './cache/l2.js';
import { measureOutage } from './cache/outage.js';
import { TWO_TIER_PEERS } from './cache/systems.js';
import { Report } from './report.js';

const report = new Report('cache');
await measureL1(report, IN_PROCESS_PEERS);
await measureL2(
  report,
  TWO_TIER_PEERS.map(({ system, open }) => ({
    system,
    open: (url) => open(url, { ttlMs: 600_000, budgetMs: 5_000, memory: false }),
  })),
);
await measureFlights(report);
await measureOutage(report);
await measureEarlyRefresh(report);
process.stdout.write(report.render(process.argv));
// Some peers keep timers and connections after they were closed.
process.exit(0);
