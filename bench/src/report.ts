/** The system measured when no other is named. */
export const OURS = 'sparkle';

/** One figure of a benchmark. `ratio` is `value` over the value of the metric that `baseline` names. */
export interface Measurement {
  readonly bench: string;
  readonly metric: string;
  /** Who was measured: `sparkle`, a peer's package name, or what a baseline is made of. */
  readonly system: string;
  readonly value: number;
  readonly unit: string;
  /** Metric that `ratio` is over, and whose it is. */
  readonly baseline: string | null;
  readonly baselineSystem: string | null;
  readonly ratio: number | null;
}

export interface MeasurementOptions {
  /**
   * A metric added before, of the same run and unit: `metric`, or `metric@system` where several systems have it.
   */
  readonly baseline?: string;
  /** Default {@link OURS}. */
  readonly system?: string;
}

/**
 * Collects a benchmark's figures and prints them: one JSON object per line with `--json`, else a table with the
 * notes below it.
 */
export class Report {
  private readonly measured = new Map<string, Measurement>();
  private readonly notes: string[] = [];

  constructor(private readonly bench: string) {}

  /** @throws RangeError for a value that is no number, a metric added twice or a baseline not added yet. */
  add(
    metric: string,
    value: number,
    unit: string,
    { baseline, system = OURS }: MeasurementOptions = {},
  ): void {
    const id = `${metric}@${system}`;
    if (!Number.isFinite(value)) throw new RangeError(`${id} was not measured`);
    if (this.measured.has(id)) throw new RangeError(`${id} is added twice`);
    const base = baseline === undefined ? undefined : this.find(baseline, unit);
    const ratio = base ? value / base.value : null;
    this.measured.set(id, {
      bench: this.bench,
      metric,
      system,
      value,
      unit,
      baseline: base?.metric ?? null,
      baselineSystem: base?.system ?? null,
      // JSON has no infinity: over a baseline of zero there is no ratio.
      ratio: ratio !== null && Number.isFinite(ratio) ? ratio : null,
    });
  }

  /** What a reader must know of the figures: what a system cannot do, what was left out. */
  note(text: string): void {
    this.notes.push(text);
  }

  /** Every figure: metrics in the order they were added, and of each metric ours first. */
  get measurements(): readonly Measurement[] {
    const all = [...this.measured.values()];
    const metrics = [...new Set(all.map(({ metric }) => metric))];
    return metrics.flatMap((metric) => {
      const figures = all.filter((figure) => figure.metric === metric);
      return [
        ...figures.filter(({ system }) => system === OURS),
        ...figures.filter(({ system }) => system !== OURS),
      ];
    });
  }

  /** What the command prints for these arguments. */
  render(argv: readonly string[]): string {
    return argv.includes('--json') ? this.lines() : this.table();
  }

  private find(baseline: string, unit: string): Measurement {
    const found = this.measurements.find(
      ({ metric, system }) => metric === baseline || `${metric}@${system}` === baseline,
    );
    if (found?.unit !== unit) throw new RangeError(`there is no baseline ${baseline} in ${unit}`);
    return found;
  }

  private lines(): string {
    return this.measurements.map((measurement) => `${JSON.stringify(measurement)}\n`).join('');
  }

  private table(): string {
    const rows = [
      ['metric', 'system', 'value', 'unit', 'ratio', 'baseline'],
      ...this.measurements.map(({ metric, system, value, unit, ratio, baseline, baselineSystem }) => [
        metric,
        system,
        readable(value),
        unit,
        ratio === null ? '' : ratio.toFixed(2),
        baseline === null ? '' : baseline === metric ? `${baseline}@${baselineSystem}` : baseline,
      ]),
    ];
    const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
    const numeric = new Set([2, 4]);
    const line = (row: readonly string[]) =>
      row
        .map((cell, at) => (numeric.has(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
        .join('  ')
        .trimEnd();
    return [this.bench, ...rows.map(line), ...this.notes.map((note) => `note: ${note}`), ''].join('\n');
  }
}

function readable(value: number): string {
  if (value >= 1000) return Math.round(value).toString();
  return value.toPrecision(3);
}
