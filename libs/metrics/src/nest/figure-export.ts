import type { Clock } from '@sparkle/contracts';
import type { PrometheusMetrics } from '../adapters/prometheus/prometheus-metrics.js';
import type { ResourceMonitor } from '../adapters/system/resource-monitor.js';
import type { HealthRegistry } from '../core/health-registry.js';
import type { HitRatios } from '../core/hit-ratios.js';
import type { FinishedRequest, RequestTracker } from '../core/request-tracker.js';

/** Counts one finished request. */
export function reportRequest(
  metrics: PrometheusMetrics,
  request: FinishedRequest,
  clock: Pick<Clock, 'now'>,
): void {
  const { transport, status, durationMs, streamed, errorType, tenantId, traceId } = request;
  const seconds = durationMs / 1000;
  const exemplar =
    traceId === undefined
      ? undefined
      : { labelSet: { trace_id: traceId }, value: seconds, timestamp: clock.now() / 1000 };
  metrics.observe(streamed ? 'requestStream' : 'requestLatency', request, seconds, exemplar);
  if (errorType !== undefined) metrics.add('requestErrors', { transport, type: errorType, status });
  if (tenantId !== undefined) metrics.add('requestsByTenant', { tenant: tenantId, status });
}

/** Exports figures that are computed in the process whenever metrics are scraped. */
export function reportFigures(
  metrics: PrometheusMetrics,
  tracker: RequestTracker,
  hitRatios: HitRatios,
  resources: ResourceMonitor,
  health: HealthRegistry,
): void {
  metrics.collectGauge('requestErrorRatio', (set) => set({}, tracker.figures().errorRate));
  metrics.collectGauge('requestsActive', (set) => set({}, tracker.figures().active));
  metrics.collectGauge('requestsActiveMax', (set) => set({}, tracker.figures().maxActive));
  metrics.collectGauge('requestRate', (set) => {
    const { qps10s, qps60s } = tracker.figures();
    set({ window: '10s' }, qps10s);
    set({ window: '60s' }, qps60s);
  });
  metrics.collectGauge('requestLatencyQuantile', (set) => {
    const { requests, p50Ms, p95Ms, p99Ms } = tracker.figures();
    if (requests === 0) return;
    set({ percentile: '50' }, p50Ms / 1000);
    set({ percentile: '95' }, p95Ms / 1000);
    set({ percentile: '99' }, p99Ms / 1000);
  });
  metrics.collectGauge('cacheHitRatio', (set) => {
    for (const [tier, ratio] of hitRatios.read()) set({ tier }, ratio);
  });

  metrics.collectGauge('dependencyUp', (set) => {
    for (const { name, status } of health.observed()) set({ dependency: name }, status === 'up' ? 1 : 0);
  });

  const optional = {
    cpuUsage: 'cpu',
    memoryHigh: 'memoryHighBytes',
    processThreads: 'threads',
    processOpenFds: 'openFds',
    processMaxFds: 'maxFds',
  } as const;
  for (const key of Object.keys(optional) as (keyof typeof optional)[])
    metrics.collectGauge(key, (set) => {
      const value = resources.current()?.[optional[key]] ?? null;
      if (value !== null) set({}, value);
    });
  const throttled = new Growth(0);
  metrics.collectCounter('cpuThrottled', () =>
    metrics.add('cpuThrottled', {}, throttled.to(resources.current()?.cpuThrottledSeconds)),
  );
  const oomKills = new Growth(null);
  metrics.collectCounter('oomKills', () =>
    metrics.add('oomKills', {}, oomKills.to(resources.current()?.oomKills)),
  );
  metrics.collectGauge('cpuLimit', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.cpuCores);
  });
  metrics.collectGauge('memoryUsage', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.memory);
  });
  metrics.collectGauge('memoryUsed', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.memoryUsedBytes);
  });
  metrics.collectGauge('memoryLimit', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.memoryLimitBytes);
  });
  metrics.collectGauge('loadAverage', (set) => {
    const [load1, load5, load15] = resources.current()?.loadAverage ?? [];
    if (load1 === undefined || load5 === undefined || load15 === undefined) return;
    set({ window: '1m' }, load1);
    set({ window: '5m' }, load5);
    set({ window: '15m' }, load15);
  });
  metrics.collectGauge('diskUsage', (set) => {
    for (const { path, ratio } of resources.current()?.disks ?? []) set({ path }, ratio);
  });
  metrics.collectGauge('diskFree', (set) => {
    for (const { path, freeBytes } of resources.current()?.disks ?? []) set({ path }, freeBytes);
  });
}

/** How much a count of the kernel's has grown since it was last asked for. */
class Growth {
  /** @param from where to begin; `null`: at the first count. */
  constructor(private from: number | null) {}

  to(count: number | null | undefined): number {
    if (count === null || count === undefined) return 0;
    const grown = this.from === null ? 0 : Math.max(0, count - this.from);
    this.from = count;
    return grown;
  }
}
