import type { Clock } from '@sparkle/contracts';
import { Gauge, Registry } from 'prom-client';
import {
  type CounterKey,
  type GaugeKey,
  type HistogramKey,
  type LabelValues,
  type MetricDefinition,
  type MetricKey,
  metricCatalog,
} from '../../core/metric-catalog.js';
import {
  type FoldReason,
  LabelBounds,
  type SeriesLabels,
  SeriesTable,
  type WithdrawnSeries,
} from '../../core/series-table.js';
import { type PlaceChange, TopValues } from '../../core/top-values.js';
import { CatalogueCounter, type CounterCell } from './catalogue-counter.js';
import {
  CatalogueHistogram,
  type Exemplar,
  type HistogramCell,
  newHistogramCell,
} from './catalogue-histogram.js';
import { shapeOf } from './metric-shape.js';
import { openMetricsOf } from './open-metrics.js';

/** Sets one series of a gauge. */
export type SetGauge<Key extends GaugeKey> = (labels: LabelValues<Key>, value: number) => void;

/** Reads a gauge's present values when metrics are scraped. */
export type GaugeReader<Key extends GaugeKey> = (set: SetGauge<Key>) => void | Promise<void>;

/** Bounds and labels of {@link PrometheusMetrics}. */
export interface PrometheusMetricsOptions {
  /** Tenants with their own series, those with most traffic; the rest are `other`. */
  readonly maxTenants: number;
  readonly pinnedTenants: readonly string[];
  /** Distinct values of every other label; the rest are `other`. */
  readonly maxLabelValues: number;
  /** Label sets of all metrics together; beyond them a metric makes one more, whose labels are all `other`. */
  readonly maxLabelSets: number;
  /** Labels added to every series. */
  readonly defaultLabels: Readonly<Record<string, string>>;
  /** How long a scrape waits for one {@link GaugeReader}. */
  readonly readTimeoutMs: number;
}

interface GaugeCell {
  readonly labels: SeriesLabels;
}

interface GaugeEntry {
  readonly gauge: Gauge;
  readonly series: SeriesTable<GaugeCell>;
}

/**
 * The metrics of {@link metricCatalog} on a prom-client registry of their own. Counting is cheap enough for hot
 * paths. The tenants with series of their own change with their traffic: a tenant that loses its series finds
 * them again, with the values they had, if it comes back soon, so that no counter ever goes down.
 */
export class PrometheusMetrics {
  /** Also takes an application's own metrics. Never the process-wide registry. */
  readonly registry = new Registry();
  private readonly counters = new Map<MetricKey, CatalogueCounter>();
  private readonly gauges = new Map<MetricKey, GaugeEntry>();
  private readonly histograms = new Map<MetricKey, CatalogueHistogram>();
  private readonly tables: SeriesTable<object>[] = [];
  private readonly readers = new Map<MetricKey, GaugeReader<GaugeKey>[]>();
  private readonly counterReaders = new Map<MetricKey, () => void>();
  private readonly folded = new Map<MetricKey, Record<FoldReason, number>>();
  private readonly tenants: TopValues;
  private readonly bounds: LabelBounds;
  // Of what is said about the bounds themselves there is no more than the catalogue has metrics.
  private readonly boundsOfOwn: LabelBounds;
  /** By tenant, the longest gone first; at most as many as have series. */
  private readonly withdrawn = new Map<string, readonly WithdrawnSeries<object>[]>();

  constructor(
    private readonly clock: Clock,
    private readonly options: PrometheusMetricsOptions,
  ) {
    this.registry.setDefaultLabels(options.defaultLabels);
    this.tenants = new TopValues(clock, options.maxTenants, options.pinnedTenants, (change) =>
      this.exchangeTenants(change),
    );
    this.bounds = new LabelBounds(this.tenants, options.maxLabelValues, options.maxLabelSets);
    this.boundsOfOwn = new LabelBounds(this.tenants, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    for (const key of Object.keys(metricCatalog) as MetricKey[]) this.define(key, metricCatalog[key]);
    this.collectCounter('folded', () => this.addFolded());
    this.collectGauge('labelSets', (set) => set({}, this.bounds.sets));
    this.collectGauge('labelSetsMax', (set) => set({}, this.bounds.maxSets));
  }

  /** Adds to a counter. */
  add<Key extends CounterKey>(key: Key, labels: LabelValues<Key>, amount = 1): void {
    this.counters.get(key)!.add(labels, amount);
  }

  /** Sets a gauge. */
  set<Key extends GaugeKey>(key: Key, labels: LabelValues<Key>, value: number): void {
    const { gauge, series } = this.gauges.get(key)!;
    gauge.set(series.cellOf(labels).labels, value);
  }

  /** Adds a value, in the metric's unit, to a histogram. */
  observe<Key extends HistogramKey>(
    key: Key,
    labels: LabelValues<Key>,
    value: number,
    exemplar?: Exemplar,
  ): void {
    this.histograms.get(key)!.record(labels, value, exemplar);
  }

  /**
   * Lets `read` set a gauge whenever metrics are scraped; a gauge may have several readers. What a reader does
   * not set is absent from that scrape, and so is everything of a reader that fails or takes too long.
   */
  collectGauge<Key extends GaugeKey>(key: Key, read: GaugeReader<Key>): void {
    const readers = this.readers.get(key) ?? [];
    readers.push(read as GaugeReader<GaugeKey>);
    this.readers.set(key, readers);
  }

  /** Lets `read` bring a counter up to date, through {@link add}, whenever metrics are scraped. */
  collectCounter(key: CounterKey, read: () => void): void {
    this.counterReaders.set(key, read);
  }

  /** The registry's content in the Prometheus text format. */
  scrape(): Promise<string> {
    this.tenants.review();
    return this.registry.metrics();
  }

  /** The registry's content in the OpenMetrics text format, exemplars included. */
  scrapeOpenMetrics(): Promise<string> {
    this.tenants.review();
    return openMetricsOf(this.registry, this.options.defaultLabels).metrics();
  }

  private define(key: MetricKey, definition: MetricDefinition): void {
    const shape = shapeOf(definition, this.registry);
    switch (definition.type) {
      case 'counter': {
        const series = this.newTable<CounterCell>(key, (labels) => ({ labels, value: 0 }));
        this.counters.set(key, new CatalogueCounter(shape, series, () => this.counterReaders.get(key)?.()));
        // Without labels there is one series, and it is there from the start.
        if (definition.labels.length === 0) series.cellOf({});
        break;
      }
      case 'gauge': {
        const gauge: Gauge = new Gauge({ ...shape, collect: () => this.read(key) });
        // prom-client starts a gauge without labels at 0, which would be a claim nobody made.
        if (definition.labels.length === 0) gauge.remove();
        this.gauges.set(key, { gauge, series: this.newTable<GaugeCell>(key, (labels) => ({ labels })) });
        break;
      }
      case 'histogram': {
        const bounds = definition.buckets ?? [];
        const series = this.newTable<HistogramCell>(key, (labels) => newHistogramCell(labels, bounds.length));
        this.histograms.set(key, new CatalogueHistogram(shape, bounds, series));
      }
    }
  }

  private newTable<Cell extends object>(
    key: MetricKey,
    makeCell: (labels: SeriesLabels) => Cell,
  ): SeriesTable<Cell> {
    const { labels, source } = metricCatalog[key];
    const folded: Record<FoldReason, number> = { tenant: 0, label: 0, label_sets: 0 };
    this.folded.set(key, folded);
    const bounds = source === 'metrics' ? this.boundsOfOwn : this.bounds;
    const table = new SeriesTable(labels, bounds, makeCell, (reason) => {
      folded[reason] += 1;
    });
    this.tables.push(table as unknown as SeriesTable<object>);
    return table;
  }

  private addFolded(): void {
    for (const [key, counts] of this.folded)
      for (const reason of Object.keys(counts) as FoldReason[])
        if (counts[reason] > 0) {
          this.add('folded', { metric: metricCatalog[key].name, reason }, counts[reason]);
          counts[reason] = 0;
        }
  }

  private exchangeTenants({ withdrawn, admitted }: PlaceChange): void {
    this.withdrawn.set(
      withdrawn,
      this.tables.map((table) => table.withdraw(withdrawn)).filter((series) => series !== undefined),
    );
    for (const series of this.withdrawn.get(admitted) ?? []) series.restore();
    this.withdrawn.delete(admitted);
    for (const longestGone of this.withdrawn.keys()) {
      if (this.withdrawn.size <= this.options.maxTenants) break;
      this.withdrawn.delete(longestGone);
    }
    this.add('tenantSeriesChanges', {});
  }

  private async read(key: MetricKey): Promise<void> {
    const readers = this.readers.get(key);
    if (!readers) return;
    const readings = await Promise.all(readers.map((read) => this.readOne(read)));
    const { gauge, series } = this.gauges.get(key)!;
    gauge.reset();
    series.clear();
    if (metricCatalog[key].labels.length === 0) gauge.remove();
    for (const [labels, value] of readings.flat()) gauge.set(series.cellOf(labels).labels, value);
  }

  private async readOne(read: GaugeReader<GaugeKey>): Promise<[Readonly<Record<string, string>>, number][]> {
    const values: [Readonly<Record<string, string>>, number][] = [];
    const done = new AbortController();
    const tooLate = this.clock
      .sleep(this.options.readTimeoutMs, done.signal)
      .then(() => false)
      .catch(() => false);
    const complete = Promise.resolve()
      .then(() => read((labels, value) => values.push([labels, value])))
      .then(() => true)
      .catch(() => false);
    const usable = await Promise.race([complete, tooLate]);
    done.abort();
    return usable ? [...values] : [];
  }
}
