import type { Clock } from '@sparkle/contracts';
import { SlotRing } from './slot-ring.js';

const SHORTEST_SPAN_MS = 1000;

/** Counts events over a sliding window in fixed memory. Old events leave in steps of `slotMs`. */
export class RollingCounter {
  private readonly counts: Float64Array;
  private readonly ring: SlotRing;
  private readonly startedAt: number;

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    windowMs: number,
    private readonly slotMs: number,
  ) {
    const slots = Math.ceil(windowMs / slotMs);
    this.counts = new Float64Array(slots);
    this.ring = new SlotRing(clock, slotMs, slots, (slot) => {
      this.counts[slot] = 0;
    });
    this.startedAt = clock.monotonic();
  }

  add(amount = 1): void {
    this.counts[this.ring.current()]! += amount;
  }

  /** Events of the last `spanMs`, by default of the whole window. */
  sum(spanMs = this.counts.length * this.slotMs): number {
    const slots = this.counts.length;
    const newest = this.ring.current();
    const wanted = Math.min(slots, Math.ceil(spanMs / this.slotMs));
    let sum = 0;
    for (let age = 0; age < wanted; age++) sum += this.counts[(newest - age + slots) % slots]!;
    return sum;
  }

  /** Events per second over the last `spanMs`, or since the counter was made if that is shorter (at least 1 s). */
  perSecond(spanMs: number): number {
    const age = this.clock.monotonic() - this.startedAt;
    const covered = Math.min(spanMs, Math.max(age, SHORTEST_SPAN_MS));
    return (this.sum(spanMs) * 1000) / covered;
  }
}
