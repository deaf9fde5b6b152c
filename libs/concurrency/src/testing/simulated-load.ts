import type { Random } from '@sparkle/contracts';
import { parseTenantId } from '@sparkle/contracts';
import type { AdaptiveLimiter } from '../core/adaptive-limiter.js';
import { exponential, type SimulatedService, type SimulatedTime } from './simulated-service.js';

const tenantId = parseTenantId('load');

/** What has come of the requests since the last look. */
export interface LoadOutcome {
  /** Served within the deadline. */
  readonly good: number;
  /** Served, but so late that nobody waits any more. */
  readonly late: number;
  readonly refused: number;
}

/** Requests that arrive at random (a Poisson process), pass a limiter and are served. */
export class SimulatedLoad {
  private perSecond = 0;
  private arrival: { cancel(): void } | undefined;
  private outcome = { good: 0, late: 0, refused: 0 };

  /** @param deadlineMs a request that takes longer is `dropped`. */
  constructor(
    private readonly time: SimulatedTime,
    private readonly random: Random,
    private readonly limiter: AdaptiveLimiter,
    private readonly service: SimulatedService,
    private readonly deadlineMs: number,
  ) {}

  /** From now on this many requests arrive per second. */
  arriveAt(perSecond: number): void {
    this.perSecond = perSecond;
    this.arrival?.cancel();
    this.plan();
  }

  /** Runs the time on. */
  run(durationMs: number): LoadOutcome {
    this.outcome = { good: 0, late: 0, refused: 0 };
    this.time.run(durationMs);
    return this.outcome;
  }

  private plan(): void {
    this.arrival = this.time.schedule(exponential(this.random, 1000 / this.perSecond), () => {
      this.arrive();
      this.plan();
    });
  }

  private arrive(): void {
    const admission = this.limiter.tryAcquire({ tenantId, priority: 'high' });
    if (!admission) {
      this.outcome.refused += 1;
      return;
    }
    const arrivedAtMs = this.time.monotonic();
    this.service.request(() => {
      if (this.time.monotonic() - arrivedAtMs <= this.deadlineMs) {
        this.outcome.good += 1;
        admission.success();
      } else {
        this.outcome.late += 1;
        admission.dropped();
      }
    });
  }
}
