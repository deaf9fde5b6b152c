import { SystemClock } from '@sparkle/contracts';
import { LatencyWindow, PrometheusMetrics } from '@sparkle/metrics';
import { Counter, Histogram, Registry } from 'prom-client';
import type { Case } from '../interleaved.js';

const CALLS = 300_000;

/** Milliseconds, the same for every system. */
const durations = Array.from({ length: 1024 }, (_, index) => 0.5 * 1.01 ** index);
const tenants = Array.from({ length: 40 }, (_, index) => `tenant-${index}`);
const routes = Array.from({ length: 20 }, (_, index) => `/v1/things-${index}/:id`);

/** Nanoseconds that a call of `loop` takes. Each system brings a loop of its own for the compiler. */
function nanoseconds(loop: (calls: number) => void): Case {
  return () => {
    const started = performance.now();
    loop(CALLS);
    return [((performance.now() - started) * 1e6) / CALLS];
  };
}

/** What it costs to record one thing; names are those of the figures. */
export function recordingCases(): Readonly<Record<string, Case>> {
  const metrics = new PrometheusMetrics(new SystemClock(), {
    ...{ maxTenants: 50, pinnedTenants: [], defaultLabels: {}, readTimeoutMs: 1000 },
    ...{ maxLabelValues: 200, maxLabelSets: 20_000 },
  });
  const registers = [new Registry()];
  const histogram = new Histogram({
    ...{ name: 'request_latency_seconds', help: 'help', registers, buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5] },
    labelNames: ['transport', 'method', 'route', 'status'],
  });
  const counter = new Counter({
    ...{ name: 'cache_events_total', help: 'help', registers },
    labelNames: ['tenant', 'namespace', 'tier', 'outcome'],
  });
  const window = new LatencyWindow(new SystemClock());
  return {
    'observe@sparkle': nanoseconds((calls) => {
      for (let call = 0; call < calls; call += 1)
        metrics.observe(
          'requestLatency',
          { transport: 'http', method: 'GET', route: routes[call % 20]!, status: '2xx' },
          durations[call & 1023]! / 1000,
        );
    }),
    'observe@prom-client': nanoseconds((calls) => {
      for (let call = 0; call < calls; call += 1)
        histogram.observe(
          { transport: 'http', method: 'GET', route: routes[call % 20]!, status: '2xx' },
          durations[call & 1023]! / 1000,
        );
    }),
    'add@sparkle': nanoseconds((calls) => {
      for (let call = 0; call < calls; call += 1)
        metrics.add('cacheEvents', {
          ...{ tenant: tenants[call % 40]!, namespace: 'answers', tier: 'l1', outcome: 'hit' },
        });
    }),
    'add@prom-client': nanoseconds((calls) => {
      for (let call = 0; call < calls; call += 1)
        counter.inc({
          ...{ tenant: tenants[call % 40]!, namespace: 'answers', tier: 'l1', outcome: 'hit' },
        });
    }),
    'percentile window@sparkle': nanoseconds((calls) => {
      for (let call = 0; call < calls; call += 1) window.record(durations[call & 1023]!);
    }),
    'read P95@sparkle': () => {
      const started = performance.now();
      for (let call = 0; call < 1000; call += 1) window.percentile(95);
      return [((performance.now() - started) * 1e6) / 1000];
    },
  };
}
