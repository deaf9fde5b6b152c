import { type Clock, type Random, SystemRandom } from '@sparkle/contracts';
import {
  type AdaptiveLimit,
  assertSetting,
  type LimitBounds,
  type LimitSample,
  parseBounds,
} from './adaptive-limit.js';
import { LimitWindow, type WindowSettings, type WindowSummary } from './adaptive-limit-window.js';

export interface GradientLimitSettings extends LimitBounds, WindowSettings {
  /** How many times as long as the baseline a request may take before the limit shrinks, 1 to 10. Default 1.1. */
  readonly tolerance?: number;
  /** Weight of a window's result in the limit, above 0 to 1. Default 0.2. */
  readonly smoothing?: number;
  /** How many windows the baseline remembers. Default 600. */
  readonly longWindows?: number;
  /** How many requests may wait when all is well, by the limit. Default: its square root. */
  readonly queueSize?: (limit: number) => number;
  /** Windows between two probes of the baseline, 20 % more or less; 0: never. Default 60. */
  readonly probeEveryWindows?: number;
}

/** Windows whose plain mean is the first baseline. */
const WARM_UP_WINDOWS = 10;
/** A probe's first window lets the queue drain, its second one is measured. */
const PROBE_WINDOWS = 2;

/**
 * A limit that follows latency, after Gradient2Limit of Netflix' concurrency-limits. Once per window:
 *
 *     gradient = clamp(tolerance × longRtt / shortRtt, 0.5, 1)
 *     target   = limit × gradient + queueSize(limit)
 *     limit    = clamp(limit × (1 − smoothing) + target × smoothing, min, max)
 *
 * `shortRtt` is the window's mean duration, `longRtt` an exponential mean over many windows: the baseline.
 * Averages and not minima, because requests differ in the work they make: the smallest duration ever seen is that of
 * the cheapest request, and a limit measured by it would refuse the others.
 *
 * - Steady: `shortRtt` varies around `longRtt`; the gradient is about 1 and the limit stands where what it
 *   loses by the gradient is what `queueSize` adds.
 * - Load sets in: requests queue, `shortRtt` grows and the gradient falls below 1; `longRtt` lags behind and so keeps
 *   the limit low. A window in which something was dropped takes at least a tenth off the limit.
 * - Load goes: `longRtt` is still high; more than twice `shortRtt`, it falls by a tenth each window.
 * - Nobody needs the limit (less than half of it is in flight): it stands still.
 *
 * Under a load that never ends, the baseline comes to contain the queue, and the original drifts upwards with it.
 * So every now and then the limit is halved for two windows and the baseline set to what they measure (as the
 * original's predecessor did, and Envoy's gradient controller and BBR do). If half of the limit still queues, the
 * limit shrinks after it, and the next probe sees less of a queue.
 */
export class GradientLimit implements AdaptiveLimit {
  private readonly window: LimitWindow;
  private readonly bounds: Required<LimitBounds>;
  private readonly tolerance: number;
  private readonly smoothing: number;
  private readonly longWindows: number;
  private readonly queueSize: (limit: number) => number;
  private readonly probeEveryWindows: number;
  private estimate: number;
  private longRttMs = 0;
  private windows = 0;
  /** Windows until the next probe begins. */
  private untilProbe: number;
  /** Windows of a probe that are left; 0 while there is none. */
  private probing = 0;

  /** @throws AdaptiveLimitSettingsInvalidError when a setting is out of range. */
  constructor(
    clock: Clock,
    settings: GradientLimitSettings = {},
    private readonly random: Random = new SystemRandom(),
  ) {
    const { tolerance = 1.1, smoothing = 0.2, longWindows = 600, probeEveryWindows = 60 } = settings;
    assertSetting('tolerance', tolerance, tolerance >= 1 && tolerance <= 10, '1 to 10');
    assertSetting('smoothing', smoothing, smoothing > 0 && smoothing <= 1, 'above 0 and at most 1');
    assertSetting('longWindows', longWindows, longWindows >= WARM_UP_WINDOWS, `at least ${WARM_UP_WINDOWS}`);
    assertSetting(
      'probeEveryWindows',
      probeEveryWindows,
      probeEveryWindows === 0 || probeEveryWindows >= WARM_UP_WINDOWS,
      `0, or at least ${WARM_UP_WINDOWS}`,
    );
    this.bounds = parseBounds(settings);
    this.window = new LimitWindow(clock, settings);
    this.tolerance = tolerance;
    this.smoothing = smoothing;
    this.longWindows = longWindows;
    this.queueSize = settings.queueSize ?? Math.sqrt;
    this.probeEveryWindows = probeEveryWindows;
    this.untilProbe = probeEveryWindows === 0 ? Number.POSITIVE_INFINITY : WARM_UP_WINDOWS;
    this.estimate = this.bounds.initial;
  }

  get limit(): number {
    const allowed = this.probing > 0 ? this.estimate / 2 : this.estimate;
    return Math.max(this.bounds.min, Math.floor(allowed));
  }

  /** The baseline, milliseconds; 0 before the first window has ended. */
  get baselineMs(): number {
    return this.longRttMs;
  }

  observe(sample: LimitSample): void {
    const summary = this.window.add(sample);
    if (!summary) return;
    if (this.probing > 0) this.probe(summary);
    else this.update(summary);
  }

  private probe({ meanRttMs }: WindowSummary): void {
    this.probing -= 1;
    if (this.probing > 0) return;
    this.longRttMs = meanRttMs;
    this.untilProbe = Math.round(this.probeEveryWindows * (0.8 + 0.4 * this.random.next()));
  }

  private update({ meanRttMs, mostInFlight, dropped }: WindowSummary): void {
    this.learn(meanRttMs);
    // Whoever does not need the limit says nothing about it.
    if (mostInFlight < this.estimate / 2) return;
    const gradient = Math.min(1, Math.max(0.5, (this.tolerance * this.longRttMs) / meanRttMs));
    const target = this.estimate * gradient + this.queueSize(this.estimate);
    const smoothed = this.estimate * (1 - this.smoothing) + target * this.smoothing;
    const next = dropped > 0 ? Math.min(smoothed, this.estimate * 0.9) : smoothed;
    this.estimate = Math.min(this.bounds.max, Math.max(this.bounds.min, next));
    this.untilProbe -= 1;
    if (this.untilProbe <= 0) this.probing = PROBE_WINDOWS;
  }

  private learn(meanRttMs: number): void {
    this.windows += 1;
    const weight = this.windows <= WARM_UP_WINDOWS ? 1 / this.windows : 2 / (this.longWindows + 1);
    this.longRttMs += (meanRttMs - this.longRttMs) * weight;
    if (this.longRttMs > 2 * meanRttMs) this.longRttMs *= 0.9;
  }
}
