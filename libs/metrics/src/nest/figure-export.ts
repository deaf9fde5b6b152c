import type { PrometheusMetrics } from '../adapters/prometheus/prometheus-metrics.js';
import type { ResourceMonitor } from '../adapters/system/resource-monitor.js';
import type { HitRatios } from '../core/hit-ratios.js';
import type { FinishedRequest, RequestTracker } from '../core/request-tracker.js';

/** Counts one finished request. */
export function reportRequest(metrics: PrometheusMetrics, request: FinishedRequest): void {
  const { method, route, status, durationMs, streamed, errorType } = request;
  metrics.observe(
    streamed ? 'requestStream' : 'requestLatency',
    { method, route, status },
    durationMs / 1000,
  );
  if (errorType !== undefined) metrics.add('requestErrors', { type: errorType, status });
}

/** Exports figures that are computed in the process whenever metrics are scraped. */
export function reportFigures(
  metrics: PrometheusMetrics,
  tracker: RequestTracker,
  hitRatios: HitRatios,
  resources: ResourceMonitor,
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
    set({ quantile: '0.5' }, p50Ms / 1000);
    set({ quantile: '0.95' }, p95Ms / 1000);
    set({ quantile: '0.99' }, p99Ms / 1000);
  });
  metrics.collectGauge('cacheHitRatio', (set) => {
    for (const [tier, ratio] of hitRatios.read()) set({ tier }, ratio);
  });

  metrics.collectGauge('cpuUsage', (set) => {
    const cpu = resources.current()?.cpu ?? null;
    if (cpu !== null) set({}, cpu);
  });
  metrics.collectGauge('processThreads', (set) => {
    const threads = resources.current()?.threads ?? null;
    if (threads !== null) set({}, threads);
  });
  metrics.collectGauge('cpuLimit', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.cpuCores);
  });
  metrics.collectGauge('memoryUsage', (set) => {
    const figures = resources.current();
    if (figures) set({}, figures.memory);
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
