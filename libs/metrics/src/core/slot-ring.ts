import type { Clock } from '@sparkle/contracts';

/**
 * Divides monotonic time into slots and maps them onto a ring, so that a sliding window needs a fixed number
 * of buckets. The window is the current, still growing slot and the `slots - 1` before it.
 */
export class SlotRing {
  private epoch: number;

  /** @param clear empties the bucket of a slot before it is used for a new stretch of time. */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    readonly slotMs: number,
    readonly slots: number,
    private readonly clear: (slot: number) => void,
  ) {
    this.epoch = Math.floor(clock.monotonic() / slotMs);
  }

  /** Slot of this moment, after clearing every slot that time has passed over. */
  current(): number {
    const epoch = Math.floor(this.clock.monotonic() / this.slotMs);
    const passed = Math.min(epoch - this.epoch, this.slots);
    for (let step = 0; step < passed; step++) this.clear((epoch - step) % this.slots);
    if (passed > 0) this.epoch = epoch;
    return this.epoch % this.slots;
  }
}
