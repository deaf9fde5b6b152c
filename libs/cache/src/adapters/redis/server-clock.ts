import type { Clock } from '@sparkle/contracts';

/** How long one reading of a server's time is built upon. Two clocks drift apart by less than 1 ms meanwhile. */
const READING_LIVES_MS = 1_000;

/**
 * What time it is for a Redis server, without asking it each time. The estimate is ahead of the server by at most
 * one round trip and never behind, so entries look no fresher than they are.
 */
export class ServerClock {
  private serverMs = 0;
  private monotonicMs = Number.NEGATIVE_INFINITY;
  private wallMs = 0;

  constructor(private readonly clock: Clock) {}

  /**
   * The server's time, milliseconds since the Unix epoch, or `undefined` when it has to be asked. A machine that
   * slept in between shows in its wall clock if not in its monotonic one.
   */
  estimate(): number | undefined {
    const elapsed = this.clock.monotonic() - this.monotonicMs;
    if (elapsed > READING_LIVES_MS) return undefined;
    if (Math.abs(this.clock.now() - this.wallMs) > READING_LIVES_MS) return undefined;
    return this.serverMs + elapsed;
  }

  /** Asks the server through `read`. @returns its time when the question was sent */
  async ask(read: () => Promise<number>): Promise<number> {
    const monotonicMs = this.clock.monotonic();
    const wallMs = this.clock.now();
    this.serverMs = await read();
    this.monotonicMs = monotonicMs;
    this.wallMs = wallMs;
    return this.serverMs;
  }
}
