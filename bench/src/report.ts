/** One figure of a benchmark. `ratio` is `value` over the value of the metric that `baseline` names. */
export interface Measurement {
  readonly bench: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: string | null;
  readonly ratio: number | null;
}

/** Collects a benchmark's figures and prints them: one JSON object per line with `--json`, else a table. */
export class Report {
  private readonly measured = new Map<string, Measurement>();

  constructor(private readonly bench: string) {}

  /**
   * @param baseline a metric added before, of the same run and unit.
   * @throws RangeError for a value that is no number, a metric added twice or a baseline not added yet.
   */
  add(metric: string, value: number, unit: string, baseline?: string): void {
    if (!Number.isFinite(value)) throw new RangeError(`${metric} was not measured`);
    if (this.measured.has(metric)) throw new RangeError(`${metric} is added twice`);
    this.measured.set(metric, {
      bench: this.bench,
      metric,
      value,
      unit,
      baseline: baseline ?? null,
      ratio: baseline === undefined ? null : value / this.valueOf(baseline, unit),
    });
  }

  /** Every figure, in the order they were added. */
  get measurements(): readonly Measurement[] {
    return [...this.measured.values()];
  }

  /** What the command prints for these arguments. */
  render(argv: readonly string[]): string {
    return argv.includes('--json') ? this.lines() : this.table();
  }

  private valueOf(baseline: string, unit: string): number {
    const found = this.measured.get(baseline);
    if (found?.unit !== unit) throw new RangeError(`there is no baseline ${baseline} in ${unit}`);
    return found.value;
  }

  private lines(): string {
    return this.measurements.map((measurement) => `${JSON.stringify(measurement)}\n`).join('');
  }

  private table(): string {
    const rows = [
      ['metric', 'value', 'unit', 'ratio', 'baseline'],
      ...this.measurements.map(({ metric, value, unit, ratio, baseline }) => [
        metric,
        readable(value),
        unit,
        ratio === null ? '' : ratio.toFixed(2),
        baseline ?? '',
      ]),
    ];
    const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
    const numeric = new Set([1, 3]);
    const line = (row: readonly string[]) =>
      row
        .map((cell, at) => (numeric.has(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
        .join('  ')
        .trimEnd();
    return `${this.bench}\n${rows.map(line).join('\n')}\n`;
  }
}

function readable(value: number): string {
  if (value >= 1000) return Math.round(value).toString();
  return value.toPrecision(3);
}
