import type { Clock } from '@sparkle/contracts';

/** Where a batch stands. */
export interface BatchProgress {
  /** Number of items, when it is known. */
  readonly total?: number;
  /** Items with an outcome: `succeeded`, `failed` and `cancelled` together. */
  readonly done: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Attempts beyond the first of an item. */
  readonly retries: number;
  /** Items per second over the last hundred. */
  readonly ratePerSecond: number;
  /** Milliseconds left at that rate, when the total is known and an item is done. */
  readonly etaMs?: number;
  /** True once, for the last report. */
  readonly finished: boolean;
}

/** What it throws is ignored: a broken pipe is no reason to lose a batch. */
export type BatchProgressListener = (progress: BatchProgress) => void;

/** Items whose times the rate is taken over. */
const WINDOW = 100;

/** Counts outcomes and reports each change. */
export class BatchTally {
  private readonly counts = { succeeded: 0, failed: 0, cancelled: 0 };
  private readonly times: number[];
  private retries = 0;
  private finished = false;

  constructor(
    private readonly clock: Clock,
    private readonly total: number | undefined,
    private readonly listener: BatchProgressListener | undefined,
  ) {
    this.times = [clock.monotonic()];
    this.report(false);
  }

  count(status: 'succeeded' | 'failed' | 'cancelled', attempts: number): void {
    this.counts[status] += 1;
    this.retries += Math.max(0, attempts - 1);
    this.times.push(this.clock.monotonic());
    if (this.times.length > WINDOW + 1) this.times.shift();
    this.report(false);
  }

  finish(): void {
    this.report(true);
  }

  private report(finished: boolean): void {
    if (!this.listener || this.finished) return;
    this.finished = finished;
    const { succeeded, failed, cancelled } = this.counts;
    const done = succeeded + failed + cancelled;
    const elapsedMs = this.times.at(-1)! - this.times[0]!;
    const ratePerSecond = elapsedMs > 0 ? ((this.times.length - 1) / elapsedMs) * 1000 : 0;
    const etaMs =
      this.total !== undefined && ratePerSecond > 0
        ? ((this.total - done) / ratePerSecond) * 1000
        : undefined;
    try {
      this.listener({
        ...(this.total === undefined ? {} : { total: this.total }),
        done,
        ...this.counts,
        retries: this.retries,
        ratePerSecond,
        ...(etaMs === undefined ? {} : { etaMs }),
        finished,
      });
    } catch {
      // See BatchProgressListener.
    }
  }
}
