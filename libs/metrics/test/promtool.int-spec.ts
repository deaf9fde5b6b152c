import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { SystemClock } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import {
  type CounterKey,
  type GaugeKey,
  type HistogramKey,
  type LabelValues,
  type MetricKey,
  metricCatalog,
  PrometheusMetrics,
} from '../src/index.js';

function promtool(): string {
  const folder = process.env.TEST_PROMETHEUS_BIN;
  if (!folder)
    throw new Error(
      'TEST_PROMETHEUS_BIN is not set: the folder of promtool. npm test sets it; by hand, /usr/bin on Debian.',
    );
  return join(folder, 'promtool');
}

/** What `promtool check metrics` says of a text; empty when nothing is wrong. */
async function complaintsAbout(exposition: string): Promise<string> {
  const child = spawn(promtool(), ['check', 'metrics'], { stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      said += data;
    });
  const exited = once(child, 'exit');
  child.stdin.end(exposition);
  const [status] = await exited;
  return status === 0 ? said : `${said}(status ${status})`;
}

/** A series of every metric there is. */
function everyMetric(): PrometheusMetrics {
  const metrics = new PrometheusMetrics(new SystemClock(), {
    maxTenants: 5,
    pinnedTenants: [],
    maxLabelValues: 200,
    maxLabelSets: 2000,
    defaultLabels: {},
    readTimeoutMs: 1000,
  });
  for (const key of Object.keys(metricCatalog) as MetricKey[]) {
    const { labels, type } = metricCatalog[key];
    const values = Object.fromEntries(labels.map((label) => [label, 'x'])) as LabelValues<MetricKey>;
    if (type === 'counter') metrics.add(key as CounterKey, values);
    else if (type === 'gauge') metrics.set(key as GaugeKey, values, 1);
    else metrics.observe(key as HistogramKey, values, 0.5);
  }
  return metrics;
}

describe('promtool check metrics', () => {
  it('finds nothing to criticise in the names, help, types and labels of any metric', async () => {
    const exposition = await everyMetric().scrape();
    for (const { name } of Object.values(metricCatalog)) expect(exposition).toContain(`# TYPE ${name} `);
    expect(await complaintsAbout(exposition)).toBe('');
  });

  it('does criticise, so that its silence means something', async () => {
    expect(await complaintsAbout('# HELP x_count a\n# TYPE x_count gauge\nx_count 1\n')).toContain('x_count');
  });
});
