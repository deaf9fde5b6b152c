import {
  Histogram,
  type LabelValues,
  type MetricObjectWithValues,
  type MetricValue,
  type ObserveDataWithExemplar,
} from 'prom-client';
import type { SeriesLabels, SeriesTable } from '../../core/series-table.js';
import { requireAmount } from './catalogue-counter.js';
import { contentOf, type MetricShape } from './metric-shape.js';

/** A measurement that stands for others in its bucket, as OpenMetrics shows it. */
export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>;
  readonly value: number;
  /** Seconds since the Unix epoch. */
  readonly timestamp: number;
}

/** One series of a histogram. */
export interface HistogramCell {
  readonly labels: SeriesLabels;
  /** Values by bucket, not cumulative; the last is of those above every bound. */
  readonly counts: number[];
  sum: number;
  exemplars: (Exemplar | undefined)[] | undefined;
}

/** What prom-client's registry formats; `sharedLabels` are escaped once per object. */
interface HistogramValue extends MetricValue<string> {
  readonly metricName: string;
  readonly sharedLabels: SeriesLabels;
  readonly exemplar?: Exemplar | undefined;
}

const NO_LABELS: SeriesLabels = Object.freeze({});

export function newHistogramCell(labels: SeriesLabels, buckets: number): HistogramCell {
  return { labels, counts: new Array<number>(buckets + 1).fill(0), sum: 0, exemplars: undefined };
}

/** A prom-client histogram whose series are in a {@link SeriesTable}: bounded, and found without building a string. */
export class CatalogueHistogram extends Histogram {
  private readonly bucketLabels: readonly Readonly<Record<'le', number | string>>[];

  constructor(
    private readonly shape: MetricShape,
    private readonly bounds: readonly number[],
    private readonly series: SeriesTable<HistogramCell>,
  ) {
    super({ ...shape, buckets: [...bounds] });
    this.bucketLabels = [...bounds, '+Inf'].map((le) => Object.freeze({ le }));
  }

  // prom-client's constructor puts its own `observe` on the instance, which only a field replaces.
  override observe = (
    labels: LabelValues<string> | ObserveDataWithExemplar<string> | number,
    value?: number,
  ): void => {
    if (typeof labels === 'object') this.record(labels as SeriesLabels, value ?? Number.NaN);
    else this.record(NO_LABELS, labels);
  };

  /** @throws RangeError when the value is negative or not finite, or a label is missing. */
  record(labels: SeriesLabels, value: number, exemplar?: Exemplar): void {
    requireAmount(value);
    const cell = this.series.cellOf(labels);
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    cell.counts[bucket]! += 1;
    cell.sum += value;
    if (exemplar) {
      cell.exemplars ??= new Array<undefined>(cell.counts.length).fill(undefined);
      cell.exemplars[bucket] = exemplar;
    }
  }

  override labels(...values: string[] | [LabelValues<string>]): Histogram.Internal<string> {
    const [first] = values;
    const labels = typeof first === 'object' ? first : this.labelled(values as string[]);
    return {
      observe: (value) => this.record(labels as SeriesLabels, value),
      startTimer: () => this.startTimer(labels) as () => number,
    };
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const { values, ...metric } = await this.getForPromString();
    return {
      ...metric,
      values: values.map(({ sharedLabels, labels, ...value }) => ({
        ...value,
        labels: { ...labels, ...sharedLabels },
      })),
    };
  }

  /** What prom-client's registry reads in place of {@link get}. */
  async getForPromString(): Promise<MetricObjectWithValues<HistogramValue>> {
    const { bucketLabels } = this;
    const { name } = this.shape;
    const values: HistogramValue[] = [];
    for (const { labels: sharedLabels, counts, sum, exemplars } of this.series.cells()) {
      let count = 0;
      for (const [bucket, labels] of bucketLabels.entries()) {
        count += counts[bucket]!;
        const exemplar = exemplars?.[bucket];
        values.push({ metricName: `${name}_bucket`, labels, sharedLabels, value: count, exemplar });
      }
      values.push(
        { metricName: `${name}_sum`, labels: NO_LABELS, sharedLabels, value: sum },
        { metricName: `${name}_count`, labels: NO_LABELS, sharedLabels, value: count },
      );
    }
    return contentOf(this.shape, 'histogram', values);
  }

  private labelled(values: readonly string[]): SeriesLabels {
    return Object.fromEntries(this.shape.labelNames.map((name, at) => [name, values[at] ?? '']));
  }

  override reset(): void {
    // Called by prom-client's constructor too, when there is no table yet.
    this.series?.clear();
  }
}
