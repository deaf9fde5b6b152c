import { measureL1 } from './cache/l1.js';
import { IN_PROCESS_PEERS } from './cache/in-process-peers.js';
import { Report } from './report.js';
const report = new Report('cache');
await measureL1(report, IN_PROCESS_PEERS);
process.stdout.write(report.render(process.argv));
