import type { Clock, ClockTimer } from '@sparkle/contracts';

/** Something that is due at a time unless it is taken back. In one {@link DeadlineQueue} at most. */
export abstract class Deadline {
  /** Neighbours in the queue that this is in. */
  earlier: Deadline | undefined;
  later: Deadline | undefined;

  /** Monotonic time; does not change while this is in a queue. */
  abstract readonly dueAtMs: number;
  /** Never fails. */
  abstract onDue(): void;
}

/** Both ends of the queue. */
class Ends extends Deadline {
  readonly dueAtMs = Number.NaN;
  onDue(): void {}
}

/**
 * Deadlines that come in about the order in which they are due, most of which are taken back before: leases of
 * one length, or timeouts of one length. One timer serves all of them.
 *
 * A linked list, because a `Set` that thousands go through per second drags each of them into the old
 * generation: its abandoned tables refer to the later ones. For the same reason, what leaves the list loses its
 * links.
 */
export class DeadlineQueue {
  private readonly ends: Deadline = new Ends();
  /** Timers of deadlines that came out of order. */
  private readonly stragglers = new Map<Deadline, ClockTimer>();
  private timer: ClockTimer | undefined;

  /** @param slackMs how late a deadline may be met that came out of order without a timer of its own. */
  constructor(
    private readonly clock: Clock,
    private readonly slackMs: number,
  ) {
    this.ends.earlier = this.ends;
    this.ends.later = this.ends;
  }

  add(entry: Deadline): void {
    const { dueAtMs } = entry;
    const last = this.ends.earlier!;
    if (last.dueAtMs - this.slackMs > dueAtMs) {
      this.addStraggler(entry);
      return;
    }
    entry.earlier = last;
    entry.later = this.ends;
    last.later = entry;
    this.ends.earlier = entry;
    if (!this.timer) this.arm(dueAtMs - this.clock.monotonic());
  }

  remove(entry: Deadline): void {
    if (entry.later) {
      this.unlink(entry);
      if (this.ends.later === this.ends) this.disarm();
    } else if (this.stragglers.size > 0) {
      this.stragglers.get(entry)?.cancel();
      this.stragglers.delete(entry);
    }
  }

  private addStraggler(entry: Deadline): void {
    const timer = this.clock.schedule(Math.max(0, entry.dueAtMs - this.clock.monotonic()), () => {
      this.stragglers.delete(entry);
      entry.onDue();
    });
    this.stragglers.set(entry, timer);
  }

  private unlink(entry: Deadline): void {
    entry.earlier!.later = entry.later;
    entry.later!.earlier = entry.earlier;
    entry.earlier = undefined;
    entry.later = undefined;
  }

  private arm(delayMs: number): void {
    this.timer = this.clock.schedule(Math.max(0, delayMs), () => this.meetDue());
  }

  private disarm(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private meetDue(): void {
    this.timer = undefined;
    const nowMs = this.clock.monotonic();
    for (let first = this.ends.later!; first !== this.ends; first = this.ends.later!) {
      const delayMs = first.dueAtMs - nowMs;
      // Timers may fire a fraction of a millisecond early.
      if (delayMs >= 1) {
        if (!this.timer) this.arm(delayMs);
        return;
      }
      this.unlink(first);
      first.onDue();
    }
  }
}
