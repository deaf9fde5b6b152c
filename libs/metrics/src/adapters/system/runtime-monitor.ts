import {
  constants,
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics, type HeapSpaceInfo } from 'node:v8';
import type { PrometheusMetrics } from '../prometheus/prometheus-metrics.js';

/** Node's kinds of garbage collection, by its constants. */
export const GC_KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/** Node measures the event loop by a timer of this interval and counts the interval itself as delay. */
const TICK_MS = 10;

/**
 * Exports the state of Node itself: garbage collection, event loop, heap, handles, process CPU. Does by hand what
 * prom-client's `collectDefaultMetrics` does, because that cannot be stopped and drops collections that finish
 * within one turn of the event loop.
 */
export class RuntimeMonitor {
  private readonly delay: IntervalHistogram = monitorEventLoopDelay({ resolution: TICK_MS });
  private readonly collections: PerformanceObserver;
  private utilization: EventLoopUtilization = performance.eventLoopUtilization();
  private cpuSeconds = 0;

  constructor(private readonly metrics: PrometheusMetrics) {
    this.collections = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const kind = (entry as { detail?: { kind?: number } }).detail?.kind ?? -1;
        metrics.observe('gcDuration', { kind: GC_KINDS.get(kind) ?? 'unknown' }, entry.duration / 1000);
      }
    });
  }

  start(): void {
    this.delay.enable();
    this.collections.observe({ entryTypes: ['gc'] });
    const { metrics } = this;
    metrics.set('processStart', {}, performance.timeOrigin / 1000);
    metrics.collectGauge('processMemory', (set) => set({}, process.memoryUsage.rss()));
    metrics.collectGauge('externalMemory', (set) => set({}, process.memoryUsage().external));
    metrics.collectGauge('heapTotal', (set) => set({}, getHeapStatistics().total_heap_size));
    metrics.collectGauge('heapUsed', (set) => set({}, getHeapStatistics().used_heap_size));
    metrics.collectGauge('heapLimit', (set) => set({}, getHeapStatistics().heap_size_limit));
    metrics.collectGauge('arrayBuffers', (set) => set({}, process.memoryUsage().arrayBuffers));
    metrics.collectGauge('heapSpaceSize', (set) => {
      for (const space of getHeapSpaceStatistics()) set({ space: nameOf(space) }, space.space_size);
    });
    metrics.collectGauge('heapSpaceUsed', (set) => {
      for (const space of getHeapSpaceStatistics()) set({ space: nameOf(space) }, space.space_used_size);
    });
    metrics.collectGauge('activeResources', (set) => {
      const counts = new Map<string, number>();
      for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
      for (const [type, count] of counts) set({ type }, count);
    });
    metrics.collectGauge('eventLoopDelay', (set) => {
      if (this.delay.count === 0) return;
      const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - TICK_MS / 1000);
      set({ percentile: '50' }, seconds(this.delay.percentile(50)));
      set({ percentile: '99' }, seconds(this.delay.percentile(99)));
      set({ percentile: '100' }, seconds(this.delay.max));
      this.delay.reset();
    });
    metrics.collectGauge('eventLoopUtilization', (set) => {
      const now = performance.eventLoopUtilization();
      set({}, performance.eventLoopUtilization(now, this.utilization).utilization);
      this.utilization = now;
    });
    metrics.collectCounter('processCpu', () => this.addProcessCpu());
  }

  stop(): void {
    this.delay.disable();
    this.collections.disconnect();
  }

  private addProcessCpu(): void {
    const { user, system } = process.cpuUsage();
    const seconds = (user + system) / 1e6;
    this.metrics.add('processCpu', {}, Math.max(0, seconds - this.cpuSeconds));
    this.cpuSeconds = seconds;
  }
}

/** `old` for V8's `old_space`. */
function nameOf({ space_name }: HeapSpaceInfo): string {
  return space_name.replace(/_space$/, '');
}
