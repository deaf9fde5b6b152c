import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExposition } from '../../testing/exposition.js';
import { PrometheusMetrics, type PrometheusMetricsOptions } from './prometheus-metrics.js';

function open(changes: Partial<PrometheusMetricsOptions> = {}) {
  const clock = new TestClock();
  const metrics = new PrometheusMetrics(clock, {
    maxTenants: 5,
    pinnedTenants: [],
    maxLabelValues: 20,
    maxLabelSets: 2000,
    defaultLabels: {},
    readTimeoutMs: 1000,
    ...changes,
  });
  const scrape = async (name: string) =>
    parseExposition(await metrics.scrape()).filter((sample) => sample.name === name);
  const sum = async (name: string) => (await scrape(name)).reduce((total, { value }) => total + value, 0);
  const folded = async (metric: string) =>
    Object.fromEntries(
      (await scrape('metrics_folded_total'))
        .filter(({ labels }) => labels.metric === metric)
        .map(({ labels, value }) => [labels.reason, value]),
    );
  return { clock, metrics, scrape, sum, folded };
}

describe('the series of a metric', () => {
  it('stay within their bounds under 100,000 random label values, none of which is lost', async () => {
    const { metrics, scrape, sum, folded } = open();
    const random = new SeededRandom(1);
    const word = () => `w${Math.floor(random.next() * 1e12)}`;
    for (let n = 0; n < 100_000; n++)
      metrics.observe(
        'requestLatency',
        { transport: 'http', method: word(), route: word(), status: word() },
        0.01,
      );
    const counts = await scrape('request_latency_seconds_count');
    expect(counts.length).toBeLessThanOrEqual(2001);
    expect(await sum('request_latency_seconds_count')).toBe(100_000);
    for (const label of ['method', 'route', 'status'])
      expect(new Set(counts.map(({ labels }) => labels[label])).size).toBeLessThanOrEqual(21);
    expect((await folded('request_latency_seconds')).label).toBeGreaterThan(99_000);
  });

  it('become one more, all other, once there are too many label sets, and the metric says how often', async () => {
    const { metrics, scrape, sum, folded } = open({ maxLabelValues: 1000 });
    for (let n = 0; n < 100_000; n++)
      metrics.add('requestErrors', { transport: 'http', type: `e${n % 900}`, status: `s${n % 7}` });
    const series = await scrape('request_errors_total');
    expect(series.length).toBeLessThanOrEqual(2001);
    expect(series.find(({ labels }) => labels.type === 'other')?.value).toBe(
      (await folded('request_errors_total')).label_sets,
    );
    expect(await sum('request_errors_total')).toBe(100_000);
    expect((await scrape('metrics_label_sets'))[0]?.value).toBeLessThanOrEqual(2000 + 80);
    // Another metric still has a series, and what is said about the bounds is not bounded by them.
    metrics.add('dbPoolTimeouts', { pool: 'primary' });
    expect((await scrape('db_pool_timeout_total'))[0]).toMatchObject({ labels: { pool: 'other' }, value: 1 });
    expect(await folded('db_pool_timeout_total')).toEqual({ label_sets: 1 });
  });

  it('take no label value of more than 200 characters', async () => {
    const { metrics, scrape } = open();
    metrics.add('requestErrors', { transport: 'http', type: 'x'.repeat(201), status: '5xx' });
    expect((await scrape('request_errors_total'))[0]?.labels.type).toBe('other');
  });

  it('refuse a label set that lacks a label, and count nothing then', async () => {
    const { metrics, scrape } = open();
    const incomplete = { transport: 'http' } as { transport: string; type: string; status: string };
    expect(() => metrics.add('requestErrors', incomplete)).toThrow(RangeError);
    const without = { outcome: 'failed' } as { tenant: string; outcome: string };
    expect(() => metrics.add('dbQueries', without)).toThrow(RangeError);
    expect(await scrape('request_errors_total')).toEqual([]);
    expect(await scrape('db_queries_total')).toEqual([]);
  });

  it('never go down and lose nothing while tenants win and lose series of their own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            tenant: fc.integer({ min: 0, max: 7 }).map((n) => `t${n}`),
            amount: fc.integer({ min: 1, max: 300 }),
            afterMs: fc.constantFrom(0, 10_000, 60_000, 310_000),
          }),
          { maxLength: 80 },
        ),
        async (traffic) => {
          const { clock, metrics, scrape } = open({ maxTenants: 2 });
          // Of each series the newest value, also while it is not shown.
          const newest = new Map<string, number>();
          let total = 0;
          for (const { tenant, amount, afterMs } of traffic) {
            await clock.advance(afterMs);
            for (let n = 0; n < amount; n++) metrics.add('dbQueries', { tenant, outcome: 'success' });
            total += amount;
            const series = await scrape('db_queries_total');
            expect(series.length).toBeLessThanOrEqual(3);
            for (const { labels, value } of series) {
              expect(value).toBeGreaterThanOrEqual(newest.get(labels.tenant!) ?? 0);
              newest.set(labels.tenant!, value);
            }
          }
          // Series that were forgotten for good start anew: then the sum of what was ever shown is smaller.
          const shown = [...newest.values()].reduce((sum, value) => sum + value, 0);
          expect(shown).toBeLessThanOrEqual(total);
          if (newest.size <= 5) expect(shown).toBe(total);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('show a heavy tenant by itself that arrives late, and withdraw the least used one', async () => {
    const { clock, metrics, scrape } = open({ maxTenants: 2 });
    const use = (tenant: string, times: number) => {
      for (let n = 0; n < times; n++)
        metrics.add('modelTokens', { tenant, model: 'm', direction: 'input' }, 10);
    };
    use('first', 50);
    use('second', 5);
    for (let second = 0; second <= 310; second += 10) {
      await clock.advance(10_000);
      use('first', 50);
      use('second', 5);
      use('late', 100);
      await metrics.scrape();
    }
    use('late', 1);
    use('second', 1);
    const tenants = (await scrape('model_tokens_total')).map(({ labels }) => labels.tenant);
    expect(tenants.sort()).toEqual(['first', 'late', 'other']);
    expect((await scrape('metrics_tenant_changes_total'))[0]?.value).toBe(1);
  });
});

describe('the OpenMetrics format', () => {
  it('names counters by their family, shows exemplars, and leaves the other format as it was', async () => {
    const { metrics } = open({ defaultLabels: { service: 'shop' } });
    metrics.add('requestErrors', { transport: 'http', type: 'E', status: '5xx' });
    const labels = { transport: 'http', method: 'GET', route: '/x', status: '2xx' };
    const exemplar = {
      labelSet: { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' },
      value: 0.07,
      timestamp: 1,
    };
    metrics.observe('requestLatency', labels, 0.07, exemplar);
    metrics.observe('requestLatency', labels, 0.3);
    const before = await metrics.scrape();

    const text = await metrics.scrapeOpenMetrics();

    expect(text).toContain('# TYPE request_errors counter');
    expect(text).toContain('request_errors_total{transport="http",type="E",status="5xx",service="shop"} 1');
    expect(text).toMatch(
      /request_latency_seconds_bucket\{le="0.1",.*\} 1 # \{trace_id="4bf92f3577b34da6a3ce929d0e0e4736"\} 0.07 1\n/,
    );
    expect(text.endsWith('# EOF\n')).toBe(true);
    const steady = (exposition: string) => exposition.replace(/^(process|nodejs|metrics)_.*$/gm, '');
    expect(steady(await metrics.scrape())).toBe(steady(before));
    expect(before).not.toContain('trace_id');
  });
});
