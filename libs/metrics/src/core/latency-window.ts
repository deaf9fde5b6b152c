import type { Clock } from '@sparkle/contracts';
import { LatencyHistogram } from './latency-histogram.js';
import { SlotRing } from './slot-ring.js';

const SLOTS = 60;

/**
 * Percentiles of durations over a sliding window, in fixed memory (1.2 MB) and constant time per value: a
 * {@link LatencyHistogram} for each of 60 sub-windows on a ring. A value leaves the window at most one sub-window
 * (`windowMs / 60`) early and never late.
 */
export class LatencyWindow {
  private readonly slots = Array.from({ length: SLOTS }, () => new LatencyHistogram());
  // Sum of all slots, kept up to date so that reading does not merge 60 histograms.
  private readonly total = new LatencyHistogram();
  private readonly ring: SlotRing;

  constructor(clock: Pick<Clock, 'monotonic'>, windowMs = 300_000) {
    this.ring = new SlotRing(clock, windowMs / SLOTS, SLOTS, (slot) => this.clear(slot));
  }

  /** Adds a duration in milliseconds. Negative ones and NaN are ignored, longer ones than 24 h count as 24 h. */
  record(durationMs: number): void {
    const slot = this.slots[this.ring.current()]!;
    slot.record(durationMs);
    this.total.record(durationMs);
  }

  /** Number of durations in the window. */
  get count(): number {
    this.ring.current();
    return this.total.count;
  }

  /** Memory of all counts, which does not change. */
  get bytes(): number {
    return this.slots.reduce((sum, slot) => sum + slot.bytes, this.total.bytes);
  }

  /** The duration, in milliseconds, that `percentile` per cent in the window do not exceed; 0 when it is empty. */
  percentile(percentile: number): number {
    this.ring.current();
    return this.total.percentile(percentile);
  }

  /** What is in the window now, to be added to that of other processes: see {@link LatencyHistogram.decode}. */
  encode(): string {
    this.ring.current();
    return this.total.encode();
  }

  private clear(slot: number): void {
    const histogram = this.slots[slot]!;
    if (histogram.count === 0) return;
    this.total.subtract(histogram);
    histogram.reset();
  }
}
