import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { PermitStore } from '@sparkle/concurrency';
import { Clock, SystemDatabase, type TenantId } from '@sparkle/contracts';
import { type PerformanceFigures, PerformanceMonitor, PrometheusMetrics } from '@sparkle/metrics';
import { RuntimeConfig } from '../config/environment.js';
import { readAlertRules } from './alert-rules.js';
import { type ChecklistItem, judged, notMeasured, percent, TARGETS } from './checklist-item.js';
import { PROBE_LEASE_MS, probeLease } from './lease-probe.js';

/** Tables below this are read faster without an index. */
const LARGE_TABLE_ROWS = 10_000;
/** A permit may come back this much later than its lease ended. */
const LEASE_SLACK_MS = 1_000;
/** Part of the server's connections that one process may take. */
const POOL_SHARE = 0.8;

/**
 * The production checklist as far as a running process can measure it: its own figures of the last five minutes,
 * its database, its stores, and the Prometheus it is configured with. A load and the failure of what it depends on
 * it cannot make; `npm run checklist` does.
 */
@Injectable()
export class ProductionChecklist {
  constructor(
    @Inject(RuntimeConfig) private readonly config: RuntimeConfig,
    @Inject(PerformanceMonitor) private readonly performance: PerformanceMonitor,
    @Inject(PrometheusMetrics) private readonly metrics: PrometheusMetrics,
    @Inject(SystemDatabase) private readonly database: SystemDatabase,
    @Inject(PermitStore) private readonly permits: PermitStore,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  /**
   * Measures every item; one that fails to be measured says why and keeps none of the others.
   * @param tenantId whose permit the lease of a lock is tried with.
   * @param targetQps requests per second that have to be reached; default none.
   */
  async measure(tenantId: TenantId, targetQps?: number): Promise<readonly ChecklistItem[]> {
    const { figures } = this.performance.report();
    const [coverage, hitRate, lease, pool, alerts] = await Promise.all([
      this.attempt('index-coverage', `> ${percent(TARGETS.indexCoverage)}`, () => this.indexCoverage()),
      this.attempt('hit-rate', `> ${percent(TARGETS.hitRate)}`, () => this.hitRate()),
      this.attempt('lock-lease', LEASE_TARGET, () => this.lease(tenantId)),
      this.attempt('pool', POOL_TARGET, () => this.pool()),
      this.attempt('alerts', ALERTS_TARGET, () => this.alerts()),
    ]);
    const [p95, errorRate, cpu, memory, qps] = fromFigures(figures, targetQps);
    return [
      coverage,
      p95,
      hitRate,
      errorRate,
      cpu,
      memory,
      qps,
      lease,
      pool,
      alerts,
      notMeasured('degradation', DEGRADATION_TARGET, 'a running process does not break what it depends on'),
      notMeasured('load-test', LOAD_TARGET, 'a running process does not load itself'),
    ];
  }

  private async attempt(
    item: ChecklistItem['item'],
    target: string,
    measure: () => Promise<ChecklistItem>,
  ): Promise<ChecklistItem> {
    try {
      return await measure();
    } catch (error) {
      return notMeasured(item, target, `failed: ${error instanceof Error ? error.name : 'unknown error'}`);
    }
  }

  private async indexCoverage(): Promise<ChecklistItem> {
    const target = `> ${percent(TARGETS.indexCoverage)}`;
    const how = `pg_stat_user_tables: scans by an index, of all scans of tables with ${LARGE_TABLE_ROWS} rows or more`;
    const [row] = await this.database.asSystem((sql) =>
      sql.query<{ by_index: number; in_sequence: number }>(
        `SELECT coalesce(sum(idx_scan), 0)::float8 AS by_index, coalesce(sum(seq_scan), 0)::float8 AS in_sequence
         FROM pg_stat_user_tables WHERE n_live_tup >= $1`,
        [LARGE_TABLE_ROWS],
      ),
    );
    const { by_index: byIndex, in_sequence: inSequence } = row!;
    if (byIndex + inSequence === 0)
      return notMeasured('index-coverage', target, 'no table is large enough yet');
    const share = byIndex / (byIndex + inSequence);
    return judged('index-coverage', target, share > TARGETS.indexCoverage, percent(share), how);
  }

  private async hitRate(): Promise<ChecklistItem> {
    const target = `> ${percent(TARGETS.hitRate)}`;
    const gauge = await this.metrics.registry.getSingleMetric('cache_hit_ratio')?.get();
    const ratioOf = (tier: string) => gauge?.values.find(({ labels }) => labels.tier === tier)?.value;
    const exact = ratioOf('exact');
    if (exact === undefined) return notMeasured('hit-rate', target, 'no answer was looked up in the window');
    const answered = 1 - (1 - exact) * (1 - (ratioOf('semantic') ?? 0));
    return judged(
      'hit-rate',
      target,
      answered > TARGETS.hitRate,
      percent(answered),
      'answers from the exact or the semantic tier, of all look-ups in the sliding window',
    );
  }

  private async lease(tenantId: TenantId): Promise<ChecklistItem> {
    const probe = await probeLease(this.permits, this.clock, tenantId, randomUUID());
    const how = `a permit was taken and never renewed: its lease is ${PROBE_LEASE_MS} ms`;
    if (!probe) return judged('lock-lease', LEASE_TARGET, false, 'it did not come back', how);
    const { excluded, fenced, returnedAfterMs } = probe;
    const inTime = returnedAfterMs <= PROBE_LEASE_MS + LEASE_SLACK_MS;
    const measured = [
      `back after ${Math.round(returnedAfterMs)} ms`,
      excluded ? 'refused meanwhile' : 'given to two at once',
      fenced ? 'with a greater token' : 'with no greater token',
    ].join(', ');
    return judged('lock-lease', LEASE_TARGET, excluded && fenced && inTime, measured, how);
  }

  private async pool(): Promise<ChecklistItem> {
    const size = this.config.databasePoolSize;
    const most = size + Math.ceil(size / 2);
    const [server] = await this.database.asSystem((sql) =>
      sql.query<{ connections: number }>(
        `SELECT current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int AS connections`,
      ),
    );
    const counted = await this.metrics.registry.getSingleMetric('db_pool_timeout_total')?.get();
    const timeouts = counted?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
    const how = 'settings of the pool and of the server, and the time-outs counted since the start';
    const measured = `at most ${most}${this.config.mode === 'embedded' ? ' on one shared session' : ` of ${server!.connections}`}, ${timeouts} time-outs`;
    // The embedded server hands one session round: its number of connections is not a bound.
    const fits = this.config.mode === 'embedded' || most <= server!.connections * POOL_SHARE;
    return judged('pool', POOL_TARGET, fits && timeouts === 0, measured, how);
  }

  private async alerts(): Promise<ChecklistItem> {
    const url = this.config.prometheusUrl;
    if (!url) return notMeasured('alerts', ALERTS_TARGET, 'SPARKLE_PROMETHEUS_URL is not set');
    const { alerts, failing, targets, targetsUp } = await readAlertRules(url);
    return judged(
      'alerts',
      ALERTS_TARGET,
      alerts.length > 0 && failing.length === 0 && targets > 0 && targetsUp === targets,
      `${alerts.length} alerts, ${failing.length} rules failing, ${targetsUp} of ${targets} targets up`,
      "Prometheus' own list of rules and targets",
    );
  }
}

const LEASE_TARGET = `a dead holder's permit comes back within ${LEASE_SLACK_MS} ms of its lease, fenced`;
const POOL_TARGET = `at most ${percent(POOL_SHARE)} of the server's connections, no time-outs`;
export const ALERTS_TARGET = 'loaded, every rule evaluates, every target is up';
export const DEGRADATION_TARGET =
  'answers go on while what they depend on is away, and recover by themselves';
export const LOAD_TARGET = 'the target load without a lost or failed request';

/** P95, error rate, CPU, memory and requests per second, by the figures of the sliding window. */
function fromFigures(figures: PerformanceFigures, targetQps: number | undefined) {
  const { requests, p95Ms, errorRate, cpu, memory, qps60s } = figures;
  const window = `sliding window of ${requests} requests`;
  const resource = (item: 'cpu' | 'memory', value: number | null, limit: number) =>
    value === null
      ? notMeasured(item, `< ${percent(limit)}`, 'this machine does not tell')
      : judged(item, `< ${percent(limit)}`, value < limit, percent(value), 'of what the container may use');
  const p95Target = `< ${TARGETS.p95Ms} ms`;
  const errorTarget = `< ${percent(TARGETS.errorRate)}`;
  return [
    requests === 0
      ? notMeasured('p95', p95Target, 'no request in the window')
      : judged('p95', p95Target, p95Ms < TARGETS.p95Ms, `${p95Ms.toFixed(1)} ms`, window),
    requests === 0
      ? notMeasured('error-rate', errorTarget, 'no request in the window')
      : judged('error-rate', errorTarget, errorRate < TARGETS.errorRate, percent(errorRate), window),
    resource('cpu', cpu, TARGETS.cpu),
    resource('memory', memory, TARGETS.memory),
    targetQps === undefined
      ? notMeasured('target-qps', 'none was given', 'ask with a target, e.g. ?qps=50')
      : judged('target-qps', `>= ${targetQps}/s`, qps60s >= targetQps, `${qps60s.toFixed(1)}/s`, 'last 60 s'),
  ] as const;
}
