import type { Clock } from '@sparkle/contracts';

interface Pending {
  readonly at: number;
  done: boolean;
  expire(): void;
}

/** A timer this late says that the process was busy: answers that came meanwhile are looked at first. */
const LATE_MS = 5;

/**
 * Bounds how long answers are waited for, all by the same time. They expire in the order in which they began, so
 * one timer serves them all.
 */
export class Deadlines {
  private readonly pending: Pending[] = [];
  private first = 0;
  private armed = false;

  constructor(
    private readonly clock: Clock,
    private readonly limitMs: number,
    private readonly tooLate: () => Error,
  ) {}

  /**
   * The answer, or the error when it takes too long. An answer after that has nobody left to hear it.
   * @param onFailure gets every error first and passes it on
   */
  bound<T>(
    answer: Promise<T>,
    onFailure: (error: unknown, passOn: (error: unknown) => void) => void = passOn,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        at: this.clock.monotonic() + this.limitMs,
        done: false,
        expire: () => onFailure(this.tooLate(), reject),
      };
      this.pending.push(pending);
      if (!this.armed) this.arm(this.limitMs);
      answer.then(
        (value) => {
          this.finish(pending);
          resolve(value);
        },
        (error: unknown) => {
          if (pending.done) return;
          this.finish(pending);
          onFailure(error, reject);
        },
      );
    });
  }

  private finish(pending: Pending): void {
    pending.done = true;
    this.dropDone();
  }

  private dropDone(): void {
    while (this.pending[this.first]?.done) this.first++;
    if (this.first === this.pending.length) {
      this.pending.length = 0;
      this.first = 0;
    } else if (this.first >= 1024) {
      this.pending.splice(0, this.first);
      this.first = 0;
    }
  }

  private arm(delayMs: number, again = false): void {
    this.armed = true;
    const due = this.clock.monotonic() + delayMs;
    this.clock.schedule(delayMs, () => {
      this.armed = false;
      const now = this.clock.monotonic();
      if (!again && now - due > LATE_MS) this.arm(1, true);
      else this.expireUntil(now);
    });
  }

  private expireUntil(now: number): void {
    for (let next = this.pending[this.first]; next && next.at <= now; next = this.pending[this.first]) {
      next.done = true;
      next.expire();
      this.dropDone();
    }
    const next = this.pending[this.first];
    if (next) this.arm(Math.max(1, next.at - now));
  }
}

function passOn(error: unknown, reject: (error: unknown) => void): void {
  reject(error);
}
