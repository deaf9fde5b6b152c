import {
  Counter,
  type IncreaseDataWithExemplar,
  type LabelValues,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client';
import type { SeriesLabels, SeriesTable } from '../../core/series-table.js';
import { contentOf, type MetricShape } from './metric-shape.js';

/** The value of one series of a counter. */
export interface CounterCell {
  readonly labels: SeriesLabels;
  value: number;
}

/** A prom-client counter whose series are in a {@link SeriesTable}: bounded, and found without building a string. */
export class CatalogueCounter extends Counter {
  /** @param refresh brings the series up to date before they are read. */
  constructor(
    private readonly shape: MetricShape,
    private readonly series: SeriesTable<CounterCell>,
    private readonly refresh: () => void,
  ) {
    super(shape);
  }

  // prom-client's constructor puts its own `inc` on the instance, which only a field replaces.
  override inc = (
    labels?: LabelValues<string> | IncreaseDataWithExemplar<string> | number,
    amount?: number,
  ): void => {
    if (typeof labels === 'object') this.add(labels as SeriesLabels, amount ?? 1);
    else this.add({}, labels ?? 1);
  };

  /** @throws RangeError when the amount is negative or not finite, or a label is missing. */
  add(labels: SeriesLabels, amount: number): void {
    requireAmount(amount);
    this.series.cellOf(labels).value += amount;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    this.refresh();
    return contentOf(this.shape, 'counter', [...this.series.cells()]);
  }

  override reset(): void {
    // Called by prom-client's constructor too, when there is no table yet.
    this.series?.clear();
  }
}

/** @throws RangeError when it is negative or not finite. */
export function requireAmount(amount: number): void {
  if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY))
    throw new RangeError('A metric takes finite amounts of at least 0.');
}
