import type { Clock, ClockTimer } from '@sparkle/contracts';
import type { CpuUsage } from '../ports/cpu-usage.port.js';
import { type AdaptiveLimit, assertSetting } from './adaptive-limit.js';

export interface CpuLimitSettings {
  /** The limit in ordinary times, and the one to begin with. */
  readonly base: number;
  /** Default 1. */
  readonly min?: number;
  /** Milliseconds between two decisions. Default 5000. */
  readonly intervalMs?: number;
  /** Above this share of the processors the limit is halved. Default 0.8. */
  readonly high?: number;
  /** Below this share it grows. Default 0.3. */
  readonly low?: number;
  /** How many decisions in a row must agree before the limit changes. Default 1. */
  readonly agreeing?: number;
  /** What a growing limit gains. Default: a tenth of the base, at least 1. */
  readonly step?: number;
}

/**
 * A limit that follows the processors: halved above 80 %, grown step by step below 30 %, up to
 * min(2 × base, base + 10). Between the two it stands still, so that it does not swing: a load that used 80 % uses
 * about 40 % after a halving. It knows nothing of how long requests take; where they wait for something else, such as a
 * model, use a {@link GradientLimit}.
 */
export class CpuLimit implements AdaptiveLimit {
  /** The limit grows up to this. */
  readonly max: number;
  private readonly min: number;
  private readonly intervalMs: number;
  private readonly high: number;
  private readonly low: number;
  private readonly agreeing: number;
  private readonly step: number;
  private current: number;
  private timer: ClockTimer | undefined;
  private verdict: 'halve' | 'grow' | 'stay' = 'stay';
  private inARow = 0;

  /**
   * Begins to measure; {@link close} ends that.
   * @throws AdaptiveLimitSettingsInvalidError when a setting is out of range.
   */
  constructor(
    private readonly cpu: CpuUsage,
    private readonly clock: Clock,
    settings: CpuLimitSettings,
  ) {
    const { base, min = 1, intervalMs = 5000, high = 0.8, low = 0.3, agreeing = 1 } = settings;
    const { step = Math.max(1, Math.round(base / 10)) } = settings;
    const whole = [base, min, agreeing, step].every((value) => Number.isSafeInteger(value) && value >= 1);
    assertSetting(
      'base, min, agreeing and step',
      { base, min, agreeing, step },
      whole,
      'whole numbers of at least 1',
    );
    assertSetting('min', min, min <= base, 'at most the base');
    assertSetting('intervalMs', intervalMs, intervalMs > 0, 'positive');
    assertSetting('low and high', { low, high }, 0 <= low && low < high && high <= 1, '0 ≤ low < high ≤ 1');
    this.max = Math.min(2 * base, base + 10);
    this.min = min;
    this.intervalMs = intervalMs;
    this.high = high;
    this.low = low;
    this.agreeing = agreeing;
    this.step = step;
    this.current = base;
    this.cpu.read();
    this.plan();
  }

  get limit(): number {
    return this.current;
  }

  /** Durations do not matter to it. */
  observe(): void {}

  close(): void {
    this.timer?.cancel();
  }

  private plan(): void {
    this.timer = this.clock.schedule(this.intervalMs, () => {
      this.decide(this.cpu.read());
      this.plan();
    });
  }

  private decide(usage: number | undefined): void {
    const verdict = this.verdictOn(usage);
    this.inARow = verdict === this.verdict ? this.inARow + 1 : 1;
    this.verdict = verdict;
    if (verdict === 'stay' || this.inARow < this.agreeing) return;
    this.inARow = 0;
    this.current =
      verdict === 'halve'
        ? Math.max(this.min, Math.floor(this.current / 2))
        : Math.min(this.max, this.current + this.step);
  }

  private verdictOn(usage: number | undefined): 'halve' | 'grow' | 'stay' {
    if (usage === undefined) return 'stay';
    if (usage > this.high) return 'halve';
    return usage < this.low ? 'grow' : 'stay';
  }
}
