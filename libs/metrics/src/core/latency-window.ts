import type { Clock } from '@sparkle/contracts';
import { Int32Histogram } from 'hdr-histogram-js';
import { SlotRing } from './slot-ring.js';

const SLOTS = 60;
const SIGNIFICANT_DIGITS = 2;
const UNITS_PER_MS = 10_000;
const LONGEST_MS = 3_600_000;

/**
 * Percentiles of durations over a sliding window, in fixed memory (about 1 MB) and constant time per value:
 * HDR histograms (Gil Tene, http://hdrhistogram.org) with two significant digits over a ring of 60 sub-windows.
 *
 * A percentile is the nearest-rank one, at most 0.5 % off for durations from 50 µs to 1 h; longer ones count
 * as 1 h. A value leaves the window at most one sub-window (`windowMs / 60`) early and never late.
 */
export class LatencyWindow {
  private readonly slots = Array.from({ length: SLOTS }, newHistogram);
  // Sum of all slots, kept up to date so that reading does not merge 60 histograms.
  private readonly total = newHistogram();
  private readonly ring: SlotRing;

  constructor(clock: Pick<Clock, 'monotonic'>, windowMs = 300_000) {
    this.ring = new SlotRing(clock, windowMs / SLOTS, SLOTS, (slot) => this.clear(slot));
  }

  /** Adds a duration. Negative and non-finite ones are ignored. */
  record(durationMs: number): void {
    if (!(durationMs >= 0)) return;
    const units = Math.round(Math.min(durationMs, LONGEST_MS) * UNITS_PER_MS);
    this.slots[this.ring.current()]!.recordValue(units);
    this.total.recordValue(units);
  }

  /** Number of durations in the window. */
  get count(): number {
    this.ring.current();
    return this.total.totalCount;
  }

  /**
   * The duration, in milliseconds, that `percentile` per cent of all durations do not exceed; 0 when there
   * are none.
   */
  percentile(percentile: number): number {
    this.ring.current();
    if (this.total.totalCount === 0) return 0;
    const units = this.total.getValueAtPercentile(percentile);
    return this.total.medianEquivalentValue(units) / UNITS_PER_MS;
  }

  private clear(slot: number): void {
    const histogram = this.slots[slot]!;
    if (histogram.totalCount === 0) return;
    this.total.subtract(histogram);
    histogram.reset();
  }
}

function newHistogram(): Int32Histogram {
  return new Int32Histogram(1, LONGEST_MS * UNITS_PER_MS, SIGNIFICANT_DIGITS);
}
