import { channels, type ModelEvent } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HitRatios } from '../../core/hit-ratios.js';
import { metricCatalog } from '../../core/metric-catalog.js';
import { type MetricSample, parseExposition } from '../../testing/exposition.js';
import { subscribeToEvents } from './event-subscriptions.js';
import { PrometheusMetrics } from './prometheus-metrics.js';

const options = {
  maxTenants: 2,
  pinnedTenants: ['vip'],
  maxLabelValues: 10,
  maxLabelSets: 1000,
  defaultLabels: {},
  readTimeoutMs: 100,
};
const modelCall: ModelEvent = {
  tenantId: 'acme',
  model: 'local',
  operation: 'generate',
  outcome: 'success',
  durationMs: 300,
  inputTokens: 40,
  outputTokens: 7,
  costUsd: 0.25,
};

describe('events of the other libraries', () => {
  let clock: TestClock;
  let metrics: PrometheusMetrics;
  let hitRatios: HitRatios;
  let unsubscribe: () => void;

  beforeEach(() => {
    clock = new TestClock();
    metrics = new PrometheusMetrics(clock, options);
    hitRatios = new HitRatios(clock, 300_000);
    unsubscribe = subscribeToEvents(metrics, hitRatios);
  });

  afterEach(() => unsubscribe());

  const scrape = async () => parseExposition(await metrics.scrape());
  const find = (samples: MetricSample[], name: string, labels: Record<string, string> = {}) =>
    samples.find(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value;

  it('of every channel are listened to, until the subscription ends', () => {
    expect(Object.values(channels).every((channel) => channel.hasSubscribers)).toBe(true);
    unsubscribe();
    expect(Object.values(channels).some((channel) => channel.hasSubscribers)).toBe(false);
  });

  it('of caches become counts and, per tier, a hit ratio over the window', async () => {
    const event = { tenantId: 'acme', namespace: 'answers' } as const;
    for (const outcome of ['hit', 'hit', 'stale', 'miss'] as const)
      channels.cache.publish({ ...event, tier: 'l1', outcome, durationMs: 0.2 });
    channels.cache.publish({ ...event, tier: 'l2', outcome: 'miss' });
    channels.cache.publish({ ...event, tier: 'l2', outcome: 'set', ttlMs: 60_000 });

    const samples = await scrape();

    expect(
      find(samples, 'cache_events_total', {
        tenant: 'acme',
        namespace: 'answers',
        tier: 'l1',
        outcome: 'hit',
      }),
    ).toBe(2);
    expect(find(samples, 'cache_ttl_seconds_sum', { tier: 'l2' })).toBe(60);
    expect(find(samples, 'cache_operation_seconds_count', { tier: 'l1', outcome: 'hit' })).toBe(2);
    expect([...hitRatios.read()]).toEqual([
      ['l1', 0.75],
      ['l2', 0],
    ]);
    await clock.advance(300_000);
    expect([...hitRatios.read()]).toEqual([]);
  });

  it('of limits become counts by outcome and by the dimension that hit', async () => {
    const event = { tenantId: 'acme', limiter: 'answers', kind: 'rate' } as const;
    channels.limit.publish({ ...event, outcome: 'admitted' });
    channels.limit.publish({ ...event, outcome: 'limited', dimension: 'user' });
    channels.limit.publish({ ...event, kind: 'permit', outcome: 'admitted', waitMs: 20 });

    const samples = await scrape();

    expect(find(samples, 'limit_decisions_total', { kind: 'rate', outcome: 'limited' })).toBe(1);
    expect(find(samples, 'limit_hits_total', { limiter: 'answers', dimension: 'user' })).toBe(1);
    expect(find(samples, 'limit_wait_seconds_sum', { kind: 'permit' })).toBe(0.02);
  });

  it('of the database become the pool’s gauges and the durations of statements and holds', async () => {
    expect(find(await scrape(), 'db_pool_size')).toBeUndefined();
    channels.database.publish({ kind: 'pool', size: 20, checkedOut: 22, overflow: 2, waiting: 3 });
    channels.database.publish({ kind: 'pool_timeout' });
    channels.database.publish({ kind: 'connection_held', heldMs: 6000 });
    channels.database.publish({ kind: 'connection_held_long', heldMs: 5000, origin: 'x.ts:1' });
    channels.database.publish({ kind: 'pool_saturated', checkedOut: 25, capacity: 30 });
    channels.database.publish({
      kind: 'pool',
      pool: 'replica-1',
      size: 3,
      checkedOut: 1,
      overflow: 0,
      waiting: 0,
    });
    channels.database.publish({ kind: 'query', tenantId: 'acme', durationMs: 4, failed: false });
    channels.database.publish({ kind: 'query', durationMs: 4, failed: true });
    channels.database.publish({ kind: 'transaction', outcome: 'rollback', durationMs: 9 });

    const samples = await scrape();

    const pool = 'primary';
    expect(find(samples, 'db_pool_size', { pool })).toBe(20);
    expect(find(samples, 'db_pool_size', { pool: 'replica-1' })).toBe(3);
    expect(find(samples, 'db_pool_checked_out', { pool })).toBe(22);
    expect(find(samples, 'db_pool_overflow', { pool })).toBe(2);
    expect(find(samples, 'db_pool_waiting', { pool })).toBe(3);
    expect(find(samples, 'db_pool_timeout_total', { pool })).toBe(1);
    expect(find(samples, 'db_pool_saturated_total', { pool })).toBe(1);
    expect(find(samples, 'db_pool_long_holds_total', { pool })).toBe(1);
    expect(find(samples, 'db_pool_hold_seconds_count', { pool })).toBe(1);
    expect(find(samples, 'db_pool_hold_seconds_bucket', { pool, le: '5' })).toBe(0);
    expect(find(samples, 'db_pool_hold_seconds_bucket', { pool, le: '15' })).toBe(1);
    expect(find(samples, 'db_queries_total', { tenant: 'acme', outcome: 'success' })).toBe(1);
    expect(find(samples, 'db_queries_total', { tenant: 'none', outcome: 'failed' })).toBe(1);
    expect(find(samples, 'db_transaction_seconds_count', { outcome: 'rollback' })).toBe(1);
  });

  it('of replicas and repeated statements become counts, and the lag a gauge', async () => {
    channels.database.publish({ kind: 'replica', replica: 'replica-1', outcome: 'served', lagMs: 40 });
    channels.database.publish({ kind: 'replica', replica: 'replica-1', outcome: 'failed' });
    channels.database.publish({ kind: 'repeated_query', tenantId: 'acme', shape: 'SELECT ?', count: 5 });

    const samples = await scrape();

    const replica = 'replica-1';
    expect(find(samples, 'db_replica_reads_total', { replica, outcome: 'served' })).toBe(1);
    expect(find(samples, 'db_replica_reads_total', { replica, outcome: 'failed' })).toBe(1);
    expect(find(samples, 'db_replica_lag_seconds', { replica })).toBe(0.04);
    expect(find(samples, 'db_repeated_queries_total')).toBe(1);
  });

  it('of models become calls, tokens and cost per tenant', async () => {
    channels.model.publish(modelCall);
    channels.model.publish(modelCall);

    const samples = await scrape();

    expect(find(samples, 'model_calls_total', { tenant: 'acme', operation: 'generate' })).toBe(2);
    expect(find(samples, 'model_tokens_total', { tenant: 'acme', direction: 'input' })).toBe(80);
    expect(find(samples, 'model_tokens_total', { tenant: 'acme', direction: 'output' })).toBe(14);
    expect(find(samples, 'model_cost_usd_total', { tenant: 'acme' })).toBe(0.5);
    expect(find(samples, 'model_call_seconds_sum')).toBeCloseTo(0.6, 9);
  });

  it('of retrieval, ingestion, conversations, tools and jobs become counts and durations', async () => {
    const base = { tenantId: 'acme', durationMs: 50 };
    channels.retrieval.publish({ ...base, strategy: 'graph', chunks: 4, paths: 2, contextTokens: 600 });
    channels.ingestion.publish({ ...base, documentId: 'd1', step: 'embed', outcome: 'failed' });
    channels.conversation.publish({ ...base, kind: 'turn', strategy: 'window', outcome: 'success' });
    channels.tool.publish({ ...base, tool: 'progress', by: 'rule', outcome: 'success', tokens: 40 });
    channels.job.publish({ ...base, queue: 'ingestion', outcome: 'completed', ageMs: 2000 });

    const samples = await scrape();

    expect(find(samples, 'retrieval_context_tokens_sum', { strategy: 'graph' })).toBe(600);
    expect(find(samples, 'retrievals_total', { tenant: 'acme', strategy: 'graph' })).toBe(1);
    expect(find(samples, 'ingestion_steps_total', { step: 'embed', outcome: 'failed' })).toBe(1);
    expect(find(samples, 'conversation_events_total', { kind: 'turn', strategy: 'window' })).toBe(1);
    expect(find(samples, 'tool_calls_total', { tenant: 'acme', tool: 'progress', by: 'rule' })).toBe(1);
    expect(find(samples, 'tool_result_tokens_total', { tool: 'progress' })).toBe(40);
    expect(find(samples, 'job_attempts_total', { queue: 'ingestion', outcome: 'completed' })).toBe(1);
    expect(find(samples, 'job_age_seconds_sum', { queue: 'ingestion' })).toBe(2);
    expect(JSON.stringify(samples)).not.toContain('d1');
  });

  it('of repeated jobs tell when each schedule was last kept, and a failure leaves that as it was', async () => {
    const job = { tenantId: 'system', queue: 'maintenance', durationMs: 1, ageMs: 0 };
    const ended = (name: string, endedAt: number) => ({ schedule: { name, endedAt } });
    channels.job.publish({ ...job, ...ended('partitions', 60_000), outcome: 'completed' });
    channels.job.publish({ ...job, ...ended('partitions', 90_000), outcome: 'failed' });
    channels.job.publish({ ...job, ...ended('turns', 70_000), outcome: 'retried' });

    const kept = (await scrape()).filter(
      ({ name }) => name === 'scheduled_job_last_success_timestamp_seconds',
    );

    expect(kept).toMatchObject([{ labels: { schedule: 'partitions' }, value: 60 }]);
  });

  it('of ever more tenants never make more series than the bound, and lose no count', async () => {
    for (let n = 0; n < 500; n++) channels.model.publish({ ...modelCall, tenantId: `tenant-${n}` });
    channels.model.publish({ ...modelCall, tenantId: 'vip' });

    const calls = (await scrape()).filter(({ name }) => name === 'model_calls_total');

    expect(Object.fromEntries(calls.map(({ labels, value }) => [labels.tenant, value]))).toEqual({
      'tenant-0': 1,
      'tenant-1': 1,
      vip: 1,
      other: 498,
    });
  });

  it('that make no sense are counted as rejected and hurt neither the publisher nor the scrape', async () => {
    channels.model.publish({ ...modelCall, durationMs: Number.NaN });
    channels.model.publish({ ...modelCall, inputTokens: -5 });
    channels.job.publish(null as never);

    const samples = await scrape();

    expect(find(samples, 'metrics_events_rejected_total', { channel: 'model' })).toBe(2);
    expect(find(samples, 'metrics_events_rejected_total', { channel: 'job' })).toBe(1);
  });

  it('are counted once however often metrics are scraped', async () => {
    channels.model.publish(modelCall);
    await scrape();
    channels.model.publish(modelCall);
    await scrape();
    expect(find(await scrape(), 'model_calls_total')).toBe(2);
  });
});

describe('a gauge that is read at the scrape', () => {
  it('shows what its readers say now, and nothing of a reader that fails or takes too long', async () => {
    const clock = new TestClock();
    const metrics = new PrometheusMetrics(clock, options);
    const depth = new Map([['waiting', 4]]);
    metrics.collectGauge('queueDepth', (set) => {
      for (const [state, count] of depth) set({ queue: 'ingestion', state }, count);
    });
    metrics.collectGauge('queueDepth', async (set) => {
      set({ queue: 'broken', state: 'waiting' }, 1);
      throw new Error('connection lost');
    });
    metrics.collectGauge('queueDepth', (set) => {
      set({ queue: 'stuck', state: 'waiting' }, 1);
      return new Promise(() => {});
    });
    const read = async () => {
      const text = metrics.scrape();
      await clock.advance(100);
      return parseExposition(await text).filter(({ name }) => name === 'queue_depth');
    };

    expect(await read()).toEqual([
      { name: 'queue_depth', labels: { queue: 'ingestion', state: 'waiting' }, value: 4 },
    ]);
    depth.clear();
    depth.set('active', 1);
    expect(await read()).toEqual([
      { name: 'queue_depth', labels: { queue: 'ingestion', state: 'active' }, value: 1 },
    ]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('the catalogue', () => {
  it('names each metric once, after Prometheus’ conventions', () => {
    const definitions = Object.values(metricCatalog);
    expect(new Set(definitions.map(({ name }) => name)).size).toBe(definitions.length);
    for (const definition of definitions) {
      expect(definition.name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(definition.name.endsWith('_total')).toBe(definition.type === 'counter');
      if (definition.unit === 'seconds' || definition.unit === 'bytes' || definition.unit === 'ratio')
        expect(definition.name).toMatch(new RegExp(`_${definition.unit}(_total)?$`));
      if (definition.type === 'histogram')
        expect([...definition.buckets].sort((a, b) => a - b)).toEqual([...definition.buckets]);
    }
    expect(metricCatalog.requestLatency.buckets).toEqual([0.05, 0.1, 0.2, 0.5, 1, 2, 5]);
  });
});
