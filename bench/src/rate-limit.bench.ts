import { RedisServer } from '@sparkle/contracts/testing';
import { measureExactness } from './rate-limit/exactness.js';
import { measureOutage } from './rate-limit/outage.js';
import { measureMemory, measureThroughput } from './rate-limit/throughput.js';
import { Report } from './report.js';

const report = new Report('rate-limit');
const server = await RedisServer.start();
try {
  await measureThroughput(report, server.url);
  await measureMemory(report);
  await measureExactness(report, server.url);
  await measureOutage(report, server);
} finally {
  await server.stop();
}
process.stdout.write(report.render(process.argv));
