export { MemoryFleetFigures } from './adapters/memory/memory-fleet-figures.js';
export {
  type GaugeReader,
  PrometheusMetrics,
  type PrometheusMetricsOptions,
  type SetGauge,
} from './adapters/prometheus/prometheus-metrics.js';
export {
  type FleetRedis,
  RedisFleetFigures,
  type RedisFleetOptions,
} from './adapters/redis/redis-fleet-figures.js';
export type { FleetReport, InstanceReport, ServiceFigures, ServiceReport } from './core/fleet-monitor.js';
export { type DependencyHealth, HealthRegistry, type ReadinessReport } from './core/health-registry.js';
export { LatencyHistogram } from './core/latency-histogram.js';
export { LatencyWindow } from './core/latency-window.js';
export {
  type CounterKey,
  type GaugeKey,
  type HistogramKey,
  type LabelValues,
  type MetricDefinition,
  type MetricKey,
  metricCatalog,
} from './core/metric-catalog.js';
export { PerformanceMonitor } from './core/performance-monitor.js';
export type {
  Deduction,
  PerformanceFigures,
  PerformanceReport,
  PerformanceThresholds,
} from './core/performance-score.js';
export {
  type EndRequest,
  type RecordedOutcome,
  type RecordedRequest,
  RequestRecorder,
} from './core/request-recorder.js';
export type { RequestFigures, Transport } from './core/request-tracker.js';
export { RollingCounter } from './core/rolling-counter.js';
export {
  FleetStoreError,
  FleetStoreTimeoutError,
  HealthIndicatorDuplicateError,
  HealthIndicatorNameInvalidError,
  MetricsError,
  MetricsOptionsInvalidError,
  ProfileAbortedError,
  ProfileInProgressError,
  ProfileMemoryShortError,
  ProfileOptionsInvalidError,
  TracingConflictError,
} from './errors.js';
export { MetricsModule } from './metrics.module.js';
export type { MetricsModuleExtras } from './metrics.module-definition.js';
export type { MetricsOptions } from './metrics.options.js';
export type { PerformanceBody } from './nest/health.controller.js';
export { Unmeasured } from './nest/unmeasured.decorator.js';
export { FleetFigures, type InstanceFigures, type PublishedFigures } from './ports/fleet-figures.port.js';
export type { HealthIndicator } from './ports/health-indicator.port.js';
export { SystemFiles } from './ports/system-files.port.js';
export type {
  BusyStretch,
  EventLoopReport,
  GcReport,
  HotFunction,
} from './profiling/event-loop-report.js';
export {
  type CpuProfileOptions,
  type EventLoopOptions,
  type HeapSamplingOptions,
  profileOptions,
} from './profiling/profile.options.js';
export { type ProfileKind, Profiler } from './profiling/profiler.js';
export {
  type ProfilingControllerOptions,
  type ProfilingRoutes,
  profilingController,
} from './profiling/profiling.controller.js';
export { type QueueSpan, type QueueTelemetry, queueTelemetry } from './tracing/queue-telemetry.js';
export { currentTraceId, noteSpanError, runInSpan, type WorkSpan } from './tracing/run-in-span.js';
export type { TracingOptions } from './tracing/tracing.options.js';
