import { type Clock, type ClockTimer, SystemClock } from '@sparkle/contracts';

/** The real clock of a machine whose clocks are wrong by a constant. */
export class ShiftedClock implements Clock {
  private readonly real = new SystemClock();

  constructor(private readonly shiftMs: number) {}

  now(): number {
    return this.real.now() + this.shiftMs;
  }

  monotonic(): number {
    return this.real.monotonic() + this.shiftMs;
  }

  schedule(delayMs: number, callback: () => void): ClockTimer {
    return this.real.schedule(delayMs, callback);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return this.real.sleep(delayMs, signal);
  }
}
