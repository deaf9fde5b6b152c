import { type Clock, type ClockTimer, sleepOn } from '../clock.port.js';

interface PendingTimer {
  dueAt: number;
  sequence: number;
  callback: () => void;
}

/** A clock that moves only when told to. Wall and monotonic time can be set apart to simulate skew. */
export class TestClock implements Clock {
  private elapsedMs = 0;
  private sequence = 0;
  private readonly timers = new Set<PendingTimer>();

  /** @param wallMs what {@link now} shows at the start; default 2026-01-01T00:00:00Z. */
  constructor(private wallMs = Date.UTC(2026, 0, 1)) {}

  now(): number {
    return this.wallMs + this.elapsedMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  /** Jumps wall time without touching monotonic time or timers. */
  skewWall(deltaMs: number): void {
    this.wallMs += deltaMs;
  }

  get pendingTimers(): number {
    return this.timers.size;
  }

  schedule(delayMs: number, callback: () => void): ClockTimer {
    const timer = { dueAt: this.elapsedMs + Math.max(0, delayMs), sequence: this.sequence++, callback };
    this.timers.add(timer);
    return { cancel: () => this.timers.delete(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** Moves time forward, firing due timers in order and letting promises settle between them. */
  async advance(deltaMs: number): Promise<void> {
    const target = this.elapsedMs + deltaMs;
    await settle();
    for (let timer = this.nextDue(target); timer; timer = this.nextDue(target)) {
      this.timers.delete(timer);
      this.elapsedMs = Math.max(this.elapsedMs, timer.dueAt);
      timer.callback();
      await settle();
    }
    this.elapsedMs = target;
  }

  private nextDue(target: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.timers) {
      if (timer.dueAt > target) continue;
      if (!next || timer.dueAt < next.dueAt || (timer.dueAt === next.dueAt && timer.sequence < next.sequence))
        next = timer;
    }
    return next;
  }
}

/** Lets every promise that is ready to settle do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
