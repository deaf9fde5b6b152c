import { SystemClock } from '@sparkle/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { parseExposition } from '../../testing/exposition.js';
import { PrometheusMetrics } from '../prometheus/prometheus-metrics.js';
import { RuntimeMonitor } from './runtime-monitor.js';

/** Keeps the event loop busy. */
function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('RuntimeMonitor', () => {
  let monitor: RuntimeMonitor;

  afterEach(() => monitor.stop());

  async function start() {
    const metrics = new PrometheusMetrics(new SystemClock(), {
      maxTenants: 1,
      pinnedTenants: [],
      maxLabelValues: 50,
      maxLabelSets: 1000,
      defaultLabels: {},
      readTimeoutMs: 1000,
    });
    monitor = new RuntimeMonitor(metrics);
    monitor.start();
    return async (name: string) =>
      parseExposition(await metrics.scrape()).filter((sample) => sample.name === name);
  }

  it('counts garbage collections by kind', async () => {
    const read = await start();
    const kept: unknown[] = [];
    await expect
      .poll(
        async () => {
          for (let i = 0; i < 200; i++) kept[i] = new Array(10_000).fill(i);
          const counts = await read('nodejs_gc_duration_seconds_count');
          return counts.find(({ labels }) => labels.kind === 'minor')?.value ?? 0;
        },
        { timeout: 20_000 },
      )
      .toBeGreaterThan(0);
  });

  it('shows how long the event loop was held up, and starts anew with each scrape', async () => {
    const read = await start();
    const longest = async () => {
      const delays = await read('nodejs_eventloop_delay_seconds');
      return delays.find(({ labels }) => labels.percentile === '100')?.value;
    };
    // The first tick after a scrape only starts the measurement, so one block may go unseen.
    await expect
      .poll(
        async () => {
          spin(300);
          await new Promise((resolve) => setTimeout(resolve));
          return longest();
        },
        { timeout: 20_000 },
      )
      .toBeGreaterThan(0.2);
    await expect.poll(longest, { timeout: 20_000 }).toBeLessThan(0.2);
  });

  it('counts the CPU time of the process, which never goes back', async () => {
    const read = await start();
    const [first] = await read('process_cpu_seconds_total');
    spin(50);
    const [second] = await read('process_cpu_seconds_total');
    expect(first?.value).toBeGreaterThan(0);
    expect(second?.value).toBeGreaterThan(first?.value ?? 0);
  });
});
