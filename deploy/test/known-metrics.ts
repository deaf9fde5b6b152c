import type {
  CacheEvent,
  ConversationEvent,
  DatabaseEvent,
  IngestionEvent,
  JobEvent,
  LimitEvent,
  ModelEvent,
  ToolEvent,
} from '@sparkle/contracts';
import { type MetricDefinition, metricCatalog } from '@sparkle/metrics';
import { expect } from 'vitest';
import { readExpression, type Selector } from '../src/promql/expression.js';
import { isAlert, type RuleFile, rulesOf } from '../src/rules/rule-files.js';

/** Labels every scraped series has. */
const SCRAPE_LABELS = ['job', 'instance'];

/** Each member of a union once: forgetting one, or naming one that is gone, does not compile. */
function all<Value extends string>(members: Record<Value, true>): string[] {
  return Object.keys(members);
}

type TransactionOutcome = Extract<DatabaseEvent, { kind: 'transaction' }>['outcome'];
type ReplicaOutcome = Extract<DatabaseEvent, { kind: 'replica' }>['outcome'];

const statuses = ['1xx', '2xx', '3xx', '4xx', '5xx', 'aborted'];
const toolOutcomes = all<ToolEvent['outcome']>({
  success: true,
  empty: true,
  unknown_tool: true,
  arguments_invalid: true,
  timeout: true,
  failed: true,
  refused: true,
});
const jobOutcomes = all<JobEvent['outcome']>({ completed: true, failed: true, retried: true, stalled: true });
const cacheTiers = all<CacheEvent['tier']>({ l1: true, l2: true, loader: true, exact: true, semantic: true });
const cacheOutcomes = all<CacheEvent['outcome']>({
  hit: true,
  miss: true,
  stale: true,
  negative: true,
  set: true,
  evicted: true,
  invalidated: true,
  rejected: true,
  error: true,
});
const limitKinds = all<LimitEvent['kind']>({ rate: true, budget: true, permit: true });
const limitOutcomes = all<LimitEvent['outcome']>({
  admitted: true,
  limited: true,
  timeout: true,
  released: true,
  lost: true,
  store_failed: true,
});
const modelOutcomes = all<ModelEvent['outcome']>({
  success: true,
  timeout: true,
  rate_limited: true,
  breaker_open: true,
  cancelled: true,
  error: true,
});
const modelOperations = all<ModelEvent['operation']>({ generate: true, stream: true, embed: true });
const turnKinds = all<ConversationEvent['kind']>({ turn: true, summary: true });
const turnOutcomes = all<ConversationEvent['outcome']>({
  success: true,
  degraded: true,
  cancelled: true,
  failed: true,
});
const ingestionOutcomes = all<IngestionEvent['outcome']>({ success: true, failed: true });
const transactionOutcomes = all<TransactionOutcome>({ commit: true, rollback: true, retry: true });
const replicaOutcomes = all<ReplicaOutcome>({ served: true, behind: true, failed: true });

/** Values of labels whose values are known beforehand, by the metric's name. */
const VALUES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  request_latency_seconds: { status: statuses },
  request_stream_seconds: { status: statuses },
  request_errors_total: { status: statuses },
  requests_per_second: { window: ['10s', '60s'] },
  request_latency_quantile_seconds: { percentile: ['50', '95', '99'] },
  nodejs_eventloop_delay_seconds: { percentile: ['50', '99', '100'] },
  system_load_average: { window: ['1m', '5m', '15m'] },
  cache_events_total: { tier: cacheTiers, outcome: cacheOutcomes },
  cache_operation_seconds: { tier: cacheTiers, outcome: cacheOutcomes },
  cache_ttl_seconds: { tier: cacheTiers },
  cache_hit_ratio: { tier: cacheTiers },
  limit_decisions_total: { kind: limitKinds, outcome: limitOutcomes },
  limit_wait_seconds: { kind: limitKinds },
  tenant_requests_total: { status: statuses },
  metrics_folded_total: { reason: ['tenant', 'label', 'label_sets'] },
  db_query_seconds: { outcome: ['success', 'failed'] },
  db_queries_total: { outcome: ['success', 'failed'] },
  db_transaction_seconds: { outcome: transactionOutcomes },
  db_replica_reads_total: { outcome: replicaOutcomes },
  model_calls_total: { operation: modelOperations, outcome: modelOutcomes },
  model_call_seconds: { operation: modelOperations, outcome: modelOutcomes },
  model_tokens_total: { direction: ['input', 'output'] },
  ingestion_steps_total: { outcome: ingestionOutcomes },
  conversation_events_total: { kind: turnKinds, outcome: turnOutcomes },
  conversation_seconds: { kind: turnKinds, outcome: turnOutcomes },
  tool_calls_total: { outcome: toolOutcomes },
  tool_call_seconds: { outcome: toolOutcomes },
  job_attempts_total: { outcome: jobOutcomes },
  job_seconds: { outcome: jobOutcomes },
  queue_depth: { state: ['waiting', 'active', 'delayed', 'failed'] },
};

interface KnownMetric {
  readonly name: string;
  readonly labels: readonly string[];
  /** Upper bounds, where this is the `_bucket` of a histogram. */
  readonly buckets?: readonly number[];
}

/** Every metric an expression may read, by name: the catalogue's, Prometheus' own, and those of recording rules. */
export function knownMetrics(files: readonly RuleFile[]): ReadonlyMap<string, KnownMetric> {
  const known = new Map<string, KnownMetric>([
    ['up', { name: 'up', labels: SCRAPE_LABELS }],
    ['ALERTS', { name: 'ALERTS', labels: [...SCRAPE_LABELS, 'alertname', 'alertstate', 'severity'] }],
  ]);
  for (const definition of Object.values(metricCatalog) as MetricDefinition[]) {
    const { name, type, buckets } = definition;
    const labels = [...SCRAPE_LABELS, ...definition.labels];
    if (type !== 'histogram') known.set(name, { name, labels });
    else {
      known.set(`${name}_sum`, { name, labels }).set(`${name}_count`, { name, labels });
      known.set(`${name}_bucket`, { name, labels: [...labels, 'le'], buckets: buckets ?? [] });
    }
  }
  for (const rule of rulesOf(files)) {
    if (isAlert(rule)) continue;
    const [level = ''] = rule.record.split(':');
    known.set(rule.record, { name: rule.record, labels: level.split('_') });
  }
  return known;
}

/** Fails unless every metric, label and fixed label value of `expression` exists. */
export function expectKnown(expression: string, known: ReadonlyMap<string, KnownMetric>): void {
  const { selectors, labels } = readExpression(expression);
  expect(selectors, `${expression} reads no metric`).not.toHaveLength(0);
  const available = new Set<string>();
  for (const selector of selectors) {
    const metric = known.get(selector.metric);
    expect(metric, `${selector.metric} in ${expression}`).toBeDefined();
    for (const label of metric!.labels) available.add(label);
    expectMatchersKnown(selector, metric!, expression);
  }
  for (const label of labels) expect([...available], `label ${label} in ${expression}`).toContain(label);
}

function expectMatchersKnown({ matchers }: Selector, metric: KnownMetric, expression: string): void {
  for (const { label, op, value } of matchers) {
    expect(metric.labels, `${metric.name} in ${expression}`).toContain(label);
    const values = op.endsWith('~') ? value.split('|') : [value];
    const allowed =
      label === 'le' && metric.buckets
        ? [...metric.buckets, '+Inf'].flatMap((bound) => [String(bound), `${bound}.0`])
        : VALUES[metric.name]?.[label];
    if (!allowed || value.startsWith('$')) continue;
    for (const each of values)
      expect(allowed, `${label}="${each}" of ${metric.name} in ${expression}`).toContain(each);
  }
}
