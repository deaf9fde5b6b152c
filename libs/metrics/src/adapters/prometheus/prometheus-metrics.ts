import type { Clock } from '@sparkle/contracts';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { BoundedLabel } from '../../core/bounded-label.js';
import {
  type CounterKey,
  type GaugeKey,
  type HistogramKey,
  type LabelValues,
  type MetricDefinition,
  type MetricKey,
  metricCatalog,
} from '../../core/metric-catalog.js';

/** Sets one series of a gauge. */
export type SetGauge<Key extends GaugeKey> = (labels: LabelValues<Key>, value: number) => void;

/** Reads a gauge's present values when metrics are scraped. */
export type GaugeReader<Key extends GaugeKey> = (set: SetGauge<Key>) => void | Promise<void>;

/** Bounds and labels of {@link PrometheusMetrics}. */
export interface PrometheusMetricsOptions {
  /** Tenants with their own series; the rest are `other`. */
  readonly maxTenants: number;
  readonly pinnedTenants: readonly string[];
  /** Distinct values of every other label; the rest are `other`. */
  readonly maxLabelValues: number;
  /** Labels added to every series. */
  readonly defaultLabels: Readonly<Record<string, string>>;
  /** How long a scrape waits for one {@link GaugeReader}. */
  readonly readTimeoutMs: number;
}

interface PendingCount {
  readonly labels: Record<string, string>;
  amount: number;
}

/**
 * The metrics of {@link metricCatalog} on a prom-client registry of their own. Counting is cheap enough for hot
 * paths: increments collect in plain cells and reach prom-client when metrics are scraped.
 */
export class PrometheusMetrics {
  /** Also takes an application's own metrics. Never the process-wide registry. */
  readonly registry = new Registry();
  private readonly gauges = new Map<MetricKey, Gauge>();
  private readonly histograms = new Map<MetricKey, Histogram>();
  private readonly pending = new Map<MetricKey, Map<string, PendingCount>>();
  private readonly readers = new Map<MetricKey, GaugeReader<GaugeKey>[]>();
  private readonly counterReaders = new Map<MetricKey, () => void>();
  private readonly bounds = new Map<string, BoundedLabel>();

  constructor(
    private readonly clock: Clock,
    private readonly options: PrometheusMetricsOptions,
  ) {
    this.registry.setDefaultLabels(options.defaultLabels);
    this.bounds.set('tenant', new BoundedLabel(options.maxTenants, options.pinnedTenants));
    for (const key of Object.keys(metricCatalog) as MetricKey[]) this.define(key, metricCatalog[key]);
  }

  /** Adds to a counter. */
  add<Key extends CounterKey>(key: Key, labels: LabelValues<Key>, amount = 1): void {
    requireAmount(amount);
    const cells = this.pending.get(key)!;
    const values = labels as Readonly<Record<string, string>>;
    let cellKey = '';
    for (const label of metricCatalog[key].labels) cellKey += `${this.fold(label, values[label]!)}\n`;
    const cell = cells.get(cellKey);
    if (cell) cell.amount += amount;
    else cells.set(cellKey, { labels: this.foldAll(key, values), amount });
  }

  /** Sets a gauge. */
  set<Key extends GaugeKey>(key: Key, labels: LabelValues<Key>, value: number): void {
    this.gauges.get(key)!.set(this.foldAll(key, labels), value);
  }

  /** Adds a value, in the metric's unit, to a histogram. */
  observe<Key extends HistogramKey>(key: Key, labels: LabelValues<Key>, value: number): void {
    requireAmount(value);
    this.histograms.get(key)!.observe(this.foldAll(key, labels), value);
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
    return this.registry.metrics();
  }

  private define(key: MetricKey, definition: MetricDefinition): void {
    const shared = {
      name: definition.name,
      help: definition.help,
      labelNames: [...definition.labels],
      registers: [this.registry],
    };
    switch (definition.type) {
      case 'counter': {
        this.pending.set(key, new Map());
        const counter: Counter = new Counter({ ...shared, collect: () => this.flush(key, counter) });
        break;
      }
      case 'gauge': {
        const gauge: Gauge = new Gauge({ ...shared, collect: () => this.read(key, gauge) });
        // prom-client starts a gauge without labels at 0, which would be a claim nobody made.
        if (definition.labels.length === 0) gauge.remove();
        this.gauges.set(key, gauge);
        break;
      }
      case 'histogram':
        this.histograms.set(key, new Histogram({ ...shared, buckets: [...(definition.buckets ?? [])] }));
    }
  }

  private flush(key: MetricKey, counter: Counter): void {
    this.counterReaders.get(key)?.();
    for (const cell of this.pending.get(key)!.values()) {
      if (cell.amount > 0) counter.inc(cell.labels, cell.amount);
      cell.amount = 0;
    }
  }

  private async read(key: MetricKey, gauge: Gauge): Promise<void> {
    const readers = this.readers.get(key);
    if (!readers) return;
    const readings = await Promise.all(readers.map((read) => this.readOne(read)));
    gauge.reset();
    if (metricCatalog[key].labels.length === 0) gauge.remove();
    for (const [labels, value] of readings.flat()) gauge.set(this.foldAll(key, labels), value);
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

  private foldAll(key: MetricKey, labels: Readonly<Record<string, string>>): Record<string, string> {
    const folded: Record<string, string> = {};
    for (const label of metricCatalog[key].labels) folded[label] = this.fold(label, labels[label]!);
    return folded;
  }

  private fold(label: string, value: string): string {
    let bound = this.bounds.get(label);
    if (!bound) {
      bound = new BoundedLabel(this.options.maxLabelValues);
      this.bounds.set(label, bound);
    }
    return bound.fold(value);
  }
}

function requireAmount(amount: number): void {
  if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY))
    throw new RangeError('A metric takes finite amounts of at least 0.');
}
