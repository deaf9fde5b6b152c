export {
  type GaugeReader,
  PrometheusMetrics,
  type SetGauge,
} from './adapters/prometheus/prometheus-metrics.js';
export { type DependencyHealth, HealthRegistry, type ReadinessReport } from './core/health-registry.js';
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
export type { RequestFigures } from './core/request-tracker.js';
export { RollingCounter } from './core/rolling-counter.js';
export {
  HealthIndicatorDuplicateError,
  HealthIndicatorNameInvalidError,
  MetricsError,
  MetricsOptionsInvalidError,
} from './errors.js';
export { MetricsModule } from './metrics.module.js';
export type { MetricsModuleExtras } from './metrics.module-definition.js';
export type { MetricsOptions } from './metrics.options.js';
export { Unmeasured } from './nest/unmeasured.decorator.js';
export type { HealthIndicator } from './ports/health-indicator.port.js';
export { SystemFiles } from './ports/system-files.port.js';
