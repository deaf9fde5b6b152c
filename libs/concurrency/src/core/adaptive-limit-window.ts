import type { Clock } from '@sparkle/contracts';
import { assertSetting, type LimitSample } from './adaptive-limit.js';

/** What the samples of one window have in common. */
export interface WindowSummary {
  readonly meanRttMs: number;
  readonly mostInFlight: number;
  readonly dropped: number;
}

export interface WindowSettings {
  /** Shortest time between two changes of the limit, milliseconds. Default 1000. */
  readonly windowMs?: number;
  /** Fewest samples to judge by; a window goes on until it has them. Default 10. */
  readonly minSamples?: number;
}

/** Collects samples until there are enough of them to judge by. */
export class LimitWindow {
  private readonly windowMs: number;
  private readonly minSamples: number;
  private startedAtMs: number;
  private samples = 0;
  private totalRttMs = 0;
  private mostInFlight = 0;
  private dropped = 0;

  constructor(
    private readonly clock: Clock,
    { windowMs = 1000, minSamples = 10 }: WindowSettings,
  ) {
    assertSetting('windowMs', windowMs, windowMs > 0, 'positive');
    assertSetting('minSamples', minSamples, minSamples >= 1, 'at least 1');
    this.windowMs = windowMs;
    this.minSamples = minSamples;
    this.startedAtMs = clock.monotonic();
  }

  /** @returns the window's summary when it ends with this sample; the next sample begins a new one. */
  add({ rttMs, inFlight, dropped }: LimitSample): WindowSummary | undefined {
    this.samples += 1;
    this.totalRttMs += rttMs;
    this.mostInFlight = Math.max(this.mostInFlight, inFlight);
    if (dropped) this.dropped += 1;
    const now = this.clock.monotonic();
    if (this.samples < this.minSamples || now - this.startedAtMs < this.windowMs) return undefined;
    const meanRttMs = this.totalRttMs / this.samples;
    const summary = { meanRttMs, mostInFlight: this.mostInFlight, dropped: this.dropped };
    this.startedAtMs = now;
    this.samples = 0;
    this.totalRttMs = 0;
    this.mostInFlight = 0;
    this.dropped = 0;
    return summary;
  }
}
