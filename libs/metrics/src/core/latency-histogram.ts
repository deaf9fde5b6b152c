import { decodeFromCompressedBase64, encodeIntoCompressedBase64, Int32Histogram } from 'hdr-histogram-js';

const SIGNIFICANT_DIGITS = 2;
const UNITS_PER_MS = 100_000;
const LONGEST_MS = 86_400_000;
const LONGEST_UNITS = LONGEST_MS * UNITS_PER_MS;

/** Largest encoded histogram, in characters: twice that of one whose every bucket is in use. */
const LONGEST_ENCODED = 65_536;

/**
 * Counts of durations by size in fixed memory (19 KB): an HDR histogram (Gil Tene, http://hdrhistogram.org) with
 * two significant digits from 1 µs to 24 h. A percentile is the nearest-rank one, at most 0.9 % off, and 0.5 % from
 * 10 µs on. Histograms can be added up, also those of other processes: nothing is lost by that.
 */
export class LatencyHistogram {
  private readonly counts: Int32Histogram;

  constructor(counts?: Int32Histogram) {
    this.counts = counts ?? new Int32Histogram(1, LONGEST_UNITS, SIGNIFICANT_DIGITS);
  }

  /**
   * Reads what {@link encode} wrote, possibly in another process.
   * @returns `undefined` for anything else.
   */
  static decode(encoded: string): LatencyHistogram | undefined {
    if (encoded.length > LONGEST_ENCODED) return undefined;
    try {
      const counts = decodeFromCompressedBase64(encoded, 32) as Int32Histogram;
      const known =
        counts.numberOfSignificantValueDigits === SIGNIFICANT_DIGITS &&
        counts.highestTrackableValue === LONGEST_UNITS;
      return known ? new LatencyHistogram(counts) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Number of durations. */
  get count(): number {
    return this.counts.totalCount;
  }

  /** Memory of the counts, which does not change. */
  get bytes(): number {
    return this.counts.estimatedFootprintInBytes;
  }

  /** Adds a duration in milliseconds. Negative ones and NaN are ignored, longer ones than 24 h count as 24 h. */
  record(durationMs: number): void {
    if (!(durationMs >= 0)) return;
    this.counts.recordValue(Math.round(Math.min(durationMs, LONGEST_MS) * UNITS_PER_MS));
  }

  add(other: LatencyHistogram): void {
    this.counts.add(other.counts);
  }

  /** Takes out what was added before. */
  subtract(other: LatencyHistogram): void {
    this.counts.subtract(other.counts);
  }

  reset(): void {
    this.counts.reset();
  }

  /**
   * The duration, in milliseconds, that `percentile` per cent of all durations do not exceed; 0 when there
   * are none.
   */
  percentile(percentile: number): number {
    if (this.count === 0) return 0;
    const units = this.counts.getValueAtPercentile(percentile);
    return this.counts.medianEquivalentValue(units) / UNITS_PER_MS;
  }

  /** The counts as text of the HdrHistogram V2 format: some 0.1–2 KB, 20 KB at most. */
  encode(): string {
    return encodeIntoCompressedBase64(this.counts);
  }
}
