import type { MetricObjectWithValues, MetricType, MetricValue, Registry } from 'prom-client';
import type { MetricDefinition } from '../../core/metric-catalog.js';

/** A {@link MetricDefinition} in prom-client's words. */
export interface MetricShape {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

export function shapeOf({ name, help, labels }: MetricDefinition, registry: Registry): MetricShape {
  return { name, help, labelNames: [...labels], registers: [registry] };
}

/** A metric with its series, as prom-client's registry reads it. */
export function contentOf<Value extends MetricValue<string>>(
  { name, help }: MetricShape,
  type: 'counter' | 'histogram',
  values: Value[],
): MetricObjectWithValues<Value> {
  // prom-client declares the type as an enumeration of numbers, and works with these words.
  return { name, help, type: type as unknown as MetricType, aggregator: 'sum', collect: () => {}, values };
}
