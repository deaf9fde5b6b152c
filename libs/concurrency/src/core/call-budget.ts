import type { Clock } from '@sparkle/contracts';
import { StoreTimeoutError } from '../errors.js';

interface PendingCall {
  readonly dueAtMs: number;
  reject(error: unknown): void;
}

/**
 * Bounds how long calls are waited for. All share one timer: calls with the same budget end in the order in
 * which they began.
 */
export class CallBudget {
  private readonly pending = new Set<PendingCall>();
  private armed = false;

  constructor(
    private readonly clock: Clock,
    /** Milliseconds after which a call counts as failed. */
    readonly budgetMs: number,
  ) {}

  /**
   * The call's outcome, or a {@link StoreTimeoutError} after {@link budgetMs}. The call itself goes on; what it
   * ends in is ignored then.
   */
  bound<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const entry: PendingCall = { dueAtMs: this.clock.monotonic() + this.budgetMs, reject };
      this.pending.add(entry);
      this.arm(this.budgetMs);
      call.then(
        (result) => {
          this.pending.delete(entry);
          resolve(result);
        },
        (error: unknown) => {
          this.pending.delete(entry);
          reject(error);
        },
      );
    });
  }

  private arm(delayMs: number): void {
    if (this.armed) return;
    this.armed = true;
    // Timers come before sockets in the event loop: after a pause of this process, answers that have arrived
    // meanwhile are read first.
    this.clock.schedule(delayMs, () => setImmediate(() => this.expire()));
  }

  private expire(): void {
    this.armed = false;
    const nowMs = this.clock.monotonic();
    for (const entry of this.pending) {
      // Timers may fire a fraction of a millisecond early.
      const restMs = entry.dueAtMs - nowMs;
      if (restMs >= 1) {
        this.arm(restMs);
        return;
      }
      this.pending.delete(entry);
      entry.reject(new StoreTimeoutError(this.budgetMs));
    }
  }
}
