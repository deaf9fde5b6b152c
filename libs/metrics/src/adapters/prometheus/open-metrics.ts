import {
  type MetricObjectWithValues,
  type MetricValue,
  type OpenMetricsContentType,
  Registry,
} from 'prom-client';

/** A prom-client metric as its registry reads it. */
interface ReadableMetric {
  readonly name: string;
  readonly type: string;
  get(): Promise<MetricObjectWithValues<MetricValue<string>>>;
  getForPromString?(): Promise<MetricObjectWithValues<MetricValue<string>>>;
}

/**
 * A registry that shows the metrics of another in the OpenMetrics text format. prom-client would rename the counters
 * of a registry for good when it is asked for that format, so it gets stand-ins.
 */
export function openMetricsOf(
  registry: Registry,
  defaultLabels: Readonly<Record<string, string>>,
): Registry<OpenMetricsContentType> {
  const shown = new Registry<OpenMetricsContentType>();
  shown.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  shown.setDefaultLabels(defaultLabels);
  for (const metric of registry.getMetricsAsArray() as unknown as ReadableMetric[]) {
    // OpenMetrics names the family without the suffix and the sample with it.
    const name = metric.type === 'counter' ? metric.name.replace(/_total$/, '') : metric.name;
    const read = async () => ({ ...(await (metric.getForPromString?.() ?? metric.get())), name });
    shown.registerMetric({ name, type: metric.type, get: read } as unknown as Parameters<
      typeof shown.registerMetric
    >[0]);
  }
  return shown;
}
