/** A pending timer of a {@link Clock}. Cancelling twice, or after it fired, does nothing. */
export interface ClockTimer {
  cancel(): void;
}

/**
 * The only source of time in Sparkle. Production injects {@link SystemClock}; tests inject `TestClock`
 * from `@sparkle/contracts/testing` and advance it by hand.
 */
export interface Clock {
  /** Wall-clock time, milliseconds since the Unix epoch. May jump; use it for timestamps only. */
  now(): number;
  /** Milliseconds that never go back, from an arbitrary origin. Use it for durations and deadlines. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`. The timer never keeps the process alive. */
  schedule(delayMs: number, callback: () => void): ClockTimer;
  /** Resolves after `delayMs`; rejects with the signal's reason as soon as `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Injection token of the {@link Clock} port. */
export const Clock = Symbol('Clock');

/** Implements `sleep` on top of any clock's `schedule`. */
export function sleepOn(
  clock: Pick<Clock, 'schedule'>,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The real clock. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  schedule(delayMs: number, callback: () => void): ClockTimer {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }
}
