import type { Clock } from '@sparkle/contracts';
import {
  type AdaptiveLimit,
  assertSetting,
  type LimitBounds,
  type LimitSample,
  parseBounds,
} from './adaptive-limit.js';
import { LimitWindow, type WindowSettings } from './adaptive-limit-window.js';

export interface AimdLimitSettings extends LimitBounds, WindowSettings {
  /** What remains of the limit after a window with a loss, 0.5 to below 1. Default 0.9. */
  readonly backoffRatio?: number;
  /** A mean duration above this counts as a loss, milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /** What a window without a loss adds. Default 1. */
  readonly increase?: number;
}

/**
 * Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP does it and as AIMDLimit of Netflix'
 * concurrency-limits does, but once per window instead of once per request, so that one burst of time-outs is one
 * reason to shrink and not a hundred. It needs a sign of loss: it grows until something times out or is dropped.
 */
export class AimdLimit implements AdaptiveLimit {
  private readonly window: LimitWindow;
  private readonly bounds: Required<LimitBounds>;
  private readonly backoffRatio: number;
  private readonly timeoutMs: number;
  private readonly increase: number;
  private current: number;

  /** @throws AdaptiveLimitSettingsInvalidError when a setting is out of range. */
  constructor(clock: Clock, settings: AimdLimitSettings = {}) {
    const { backoffRatio = 0.9, timeoutMs = 5000, increase = 1 } = settings;
    assertSetting('backoffRatio', backoffRatio, backoffRatio >= 0.5 && backoffRatio < 1, '0.5 to below 1');
    assertSetting('timeoutMs', timeoutMs, timeoutMs > 0, 'positive');
    assertSetting(
      'increase',
      increase,
      Number.isSafeInteger(increase) && increase > 0,
      'a positive whole number',
    );
    this.bounds = parseBounds(settings);
    this.window = new LimitWindow(clock, settings);
    this.backoffRatio = backoffRatio;
    this.timeoutMs = timeoutMs;
    this.increase = increase;
    this.current = this.bounds.initial;
  }

  get limit(): number {
    return this.current;
  }

  observe(sample: LimitSample): void {
    const summary = this.window.add(sample);
    if (!summary) return;
    const { min, max } = this.bounds;
    if (summary.dropped > 0 || summary.meanRttMs > this.timeoutMs) {
      this.current = Math.max(min, Math.floor(this.current * this.backoffRatio));
    } else if (summary.mostInFlight * 2 >= this.current) {
      this.current = Math.min(max, this.current + this.increase);
    }
  }
}
