import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, TcpProxy } from '@sparkle/contracts/testing';
import { OpenAiServer } from '@sparkle/llm/testing';
import { type MetricDefinition, metricCatalog } from '@sparkle/metrics';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holding, PrometheusServer } from './prometheus-server.js';
import { embeddedToken, ingest, RunningApp } from './running-app.js';

const JOB = 'sparkle';
/** Above the 2 s that P95 may reach. */
const SLOW_MS = 2_500;
const DASHBOARDS = fileURLToPath(new URL('../../../deploy/grafana/dashboards/', import.meta.url));

/** What this scenario cannot bring forth, and why. */
const ABSENT: Readonly<Record<string, string>> = {
  db_replica_reads_total: 'no replica',
  db_replica_lag_seconds: 'no replica',
  db_pool_timeout_total: 'no caller waits that long',
  db_pool_saturated_total: 'the pool is never nearly full',
  db_pool_long_holds_total: 'no connection is held for 5 s',
  db_repeated_queries_total: 'not looked for',
  model_cost_usd_total: 'prices are not known',
  cache_ttl_seconds: 'no Redis',
  tool_calls_total: 'the model calls no tool',
  tool_call_seconds: 'the model calls no tool',
  tool_result_tokens_total: 'the model calls no tool',
  limit_hits_total: 'nothing is refused',
  request_stream_seconds: 'no streams',
  system_memory_high_bytes: 'not set here',
  system_cpu_throttled_seconds_total: 'no CPU limit here',
  fleet_store_failures_total: 'no fleet in one process',
  trace_spans_exported_total: 'no collector',
  trace_spans_dropped_total: 'no collector',
  metrics_events_rejected_total: 'nothing is rejected',
  metrics_folded_total: 'few tenants',
  metrics_tenant_changes_total: 'few tenants',
};

describe('Prometheus beside the running product', { timeout: 150_000 }, () => {
  let data: string;
  let model: OpenAiServer;
  let slowNetwork: TcpProxy;
  let app: RunningApp;
  let prometheus: PrometheusServer;
  let token: string;

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparkle-alerts-'));
    model = await OpenAiServer.start();
    slowNetwork = await TcpProxy.to(model.baseUrl);
    const port = await freePort();
    [app, prometheus] = await Promise.all([
      RunningApp.start('standalone', {
        PORT: String(port),
        SPARKLE_DATA: join(data, 'product'),
        SPARKLE_CHAT_BASE_URL: `http://127.0.0.1:${slowNetwork.port}/v1`,
        SPARKLE_CHAT_MODEL: 'stand-in',
        SPARKLE_LIMIT_USER_PER_HOUR: '100000',
        SPARKLE_DEFAULT_PLAN: '{"qps":1000,"burst":1000,"permits":32}',
      }),
      PrometheusServer.start({ [JOB]: `http://127.0.0.1:${port}` }),
    ]);
    token = await embeddedToken(join(data, 'product'), 'acme', 'alice');
    await ingest(
      app,
      token,
      'Harbour',
      '# Port Ellery\n\nPort Ellery was founded in 1702 by Captain Rosa Lind.',
    );
  });

  afterAll(async () => {
    await prometheus?.stop();
    await app?.stop();
    await slowNetwork?.close();
    await model?.stop();
    if (data) await rm(data, { recursive: true, force: true });
  });

  const converse = async () => {
    const { body } = await app.send('/v1/conversations', { token, json: {} });
    const reply = await app.send(`/v1/conversations/${body.id}/messages`, {
      token,
      json: { content: `Who founded Port Ellery? ${randomBytes(4).toString('hex')}` },
    });
    expect(reply.status).toBe(201);
  };

  /** Keeps `clients` at `work` until `done` holds. */
  const under = async (
    clients: number,
    work: () => Promise<unknown>,
    what: string,
    done: () => Promise<boolean>,
  ) => {
    let over = false;
    const client = async () => {
      while (!over) await work();
    };
    const load = Promise.all(Array.from({ length: clients }, client));
    await holding(done, what).finally(() => {
      over = true;
    });
    await load;
  };

  /** Metrics of the catalogue that Prometheus has not seen, but for those of {@link ABSENT}. */
  const missingMetrics = async () => {
    const series = await prometheus.query(`count by (__name__) ({job="${JOB}"})`);
    const names = new Set(series.map(({ metric }) => metric.__name__!.replace(/_(bucket|sum|count)$/, '')));
    return (Object.values(metricCatalog) as MetricDefinition[])
      .map(({ name }) => name)
      .filter((name) => !names.has(name) && !(name in ABSENT));
  };

  it('reaches it, evaluates every rule without error, and scrapes every metric of the catalogue', async () => {
    await converse();
    await app.send('/v1/answers', { token, json: { question: 'Who founded Port Ellery?' } });
    await app.send('/v1/no-such-route', { token });
    await holding(async () => (await prometheus.targets())[JOB] === 'up', 'the target');
    await holding(async () => (await prometheus.query('job:requests:rate5m')).length > 0, 'recorded metrics');

    const rules = await prometheus.rules();
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    expect(rules.some(({ type }) => type === 'recording')).toBe(true);

    let missing: string[] = [];
    await holding(
      async () => {
        missing = await missingMetrics();
        return missing.length === 0;
      },
      'every metric is there',
      20,
    ).catch(() => expect(missing).toEqual([]));
  });

  it('understands every query of the dashboards, and most find something', async () => {
    const found: boolean[] = [];
    for (const file of await readdir(DASHBOARDS)) {
      const { panels } = JSON.parse(await readFile(join(DASHBOARDS, file), 'utf8'));
      for (const { targets = [] } of panels)
        for (const { expr } of targets) {
          const query = expr.replaceAll('$job', JOB).replaceAll('$__rate_interval', '10s');
          found.push((await prometheus.query(query)).length > 0);
        }
    }
    expect(found.length).toBeGreaterThan(80);
    expect(found.filter(Boolean).length / found.length).toBeGreaterThan(0.5);
  });

  it('fires SparkleLatencyP95High while the model is slow, and resolves it once it is not', async () => {
    expect(await prometheus.firing()).not.toContain('SparkleLatencyP95High');
    slowNetwork.delay(SLOW_MS);
    await under(8, converse, 'the alert', async () =>
      (await prometheus.firing()).includes('SparkleLatencyP95High'),
    );
    const alert = (await prometheus.alerts()).find(
      ({ labels }) => labels.alertname === 'SparkleLatencyP95High',
    );
    expect(alert).toMatchObject({ labels: { severity: 'warning', job: JOB }, state: 'firing' });
    expect(alert!.annotations.summary).toMatch(/^P95 of sparkle is [2-5]\.\d\d s \(limit 2 s\)$/);

    slowNetwork.delay(0);
    const list = () => app.send('/v1/documents', { token });
    await under(
      2,
      list,
      'the end of the alert',
      async () => !(await prometheus.firing()).includes('SparkleLatencyP95High'),
    );
  });

  it('fires SparkleTargetDown when the product is gone', async () => {
    await app.stop();
    await holding(
      async () => (await prometheus.firing()).includes('SparkleTargetDown'),
      'the alert about a missing target',
    );
    expect(await prometheus.targets()).toEqual({ [JOB]: 'down' });
  });
});
