import { SystemClock } from '@sparkle/contracts';
import { PrometheusMetrics, type PrometheusMetricsOptions } from '@sparkle/metrics';
import { Counter, Histogram, Registry } from 'prom-client';

/** What 10,000 label sets take, half of them of a counter and half of a histogram with seven buckets. */
export interface LabelSetCost {
  readonly heapBytes: number;
  readonly scrapeMs: number;
  readonly expositionBytes: number;
}

/** One system that holds label sets. */
interface Holder {
  count(index: number): void;
  observe(index: number): void;
  scrape(): Promise<string>;
}

const SETS = 10_000;
const SCRAPES = 15;

const errorLabels = (index: number) => ({ transport: 'http', type: `E${index % 100}`, status: `s${index}` });
const latencyLabels = (index: number) => ({
  ...{ transport: 'http', method: 'GET', route: `/route/${index % 100}/:id`, status: `s${index}` },
});

function sparkle(): Holder {
  const options: PrometheusMetricsOptions = {
    ...{ maxTenants: 50, pinnedTenants: [], defaultLabels: {}, readTimeoutMs: 1000 },
    ...{ maxLabelValues: 10_000, maxLabelSets: 20_000 },
  };
  const metrics = new PrometheusMetrics(new SystemClock(), options);
  return {
    count: (index) => metrics.add('requestErrors', errorLabels(index)),
    observe: (index) => metrics.observe('requestLatency', latencyLabels(index), 0.07),
    scrape: () => metrics.scrape(),
  };
}

function promClient(): Holder {
  const registers = [new Registry()];
  const help = 'help';
  const counter = new Counter({
    ...{ name: 'request_errors_total', help, registers, labelNames: ['transport', 'type', 'status'] },
  });
  const histogram = new Histogram({
    ...{ name: 'request_latency_seconds', help, registers, buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5] },
    labelNames: ['transport', 'method', 'route', 'status'],
  });
  return {
    count: (index) => counter.inc(errorLabels(index)),
    observe: (index) => histogram.observe(latencyLabels(index), 0.07),
    scrape: () => registers[0]!.metrics(),
  };
}

function heapUsed(): number {
  for (let round = 0; round < 4; round += 1) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const holder = process.argv[2] === 'sparkle' ? sparkle() : promClient();
await holder.scrape();
const before = heapUsed();
for (let index = 0; index < SETS / 2; index += 1) {
  holder.count(index);
  holder.observe(index);
}
const exposition = await holder.scrape();
const expositionBytes = Buffer.byteLength(exposition);
const heapBytes = heapUsed() - before;
const times: number[] = [];
for (let scrape = 0; scrape < SCRAPES; scrape += 1) {
  const started = performance.now();
  await holder.scrape();
  times.push(performance.now() - started);
}
times.sort((left, right) => left - right);
const cost: LabelSetCost = { heapBytes, scrapeMs: times[SCRAPES >> 1]!, expositionBytes };
process.send?.(cost);
process.once('disconnect', () => process.exit(0));
