import type { Clock } from '@sparkle/contracts';
import { counterIdentity } from '../../core/counter-identity.js';
import { ruleCapacity } from '../../core/rate-limit-rule.js';
import {
  addToWindow,
  countSlices,
  liveSlices,
  type WindowSlice,
  windowNow,
  windowResetMs,
  windowWaitMs,
} from '../../core/sliding-window.js';
import {
  bucketRemaining,
  bucketResetMs,
  bucketWaitMs,
  drainBucket,
  EMPTY_BUCKET,
  type TokenBucketState,
  takeFromBucket,
} from '../../core/token-bucket.js';
import type {
  DimensionReading,
  RateLimitDimension,
  RateLimitReading,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import { ExpiringMap } from './expiring-map.js';

type CounterState = TokenBucketState | readonly WindowSlice[];

interface Counter {
  readonly waitMs: number;
  /** The reading and state after consuming `units` more. */
  after(units: number): DimensionReading & { state: CounterState };
}

/** Rate limits of one process. Time is the clock's monotonic time. */
export class MemoryRateLimitStore implements RateLimitStore {
  private readonly states: ExpiringMap<CounterState>;

  /** @param maxCounters bound of memory; beyond it the counters next in turn start anew. Default 100,000. */
  constructor(
    private readonly clock: Clock,
    maxCounters = 100_000,
  ) {
    this.states = new ExpiringMap(maxCounters);
  }

  async consume(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.decide(request, 'consume');
  }

  async peek(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.decide(request, 'peek');
  }

  async penalise(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    return this.decide(request, 'penalise');
  }

  async reset(request: RateLimitStoreRequest): Promise<void> {
    for (const dimension of request.dimensions) this.states.delete(keyOf(request, dimension));
  }

  private decide(request: RateLimitStoreRequest, mode: 'consume' | 'peek' | 'penalise'): RateLimitReading {
    const nowMs = Math.floor(this.clock.monotonic());
    const counters = request.dimensions.map((dimension) =>
      readCounter(this.states.get(keyOf(request, dimension), nowMs), dimension, request.cost, nowMs),
    );
    const admitted = counters.every((counter) => counter.waitMs === 0);
    const writes = mode === 'penalise' || (mode === 'consume' && admitted);
    const dimensions = counters.map((counter, index) => {
      const { state, ...reading } = counter.after(writes ? request.cost : 0);
      if (writes) {
        const key = keyOf(request, request.dimensions[index]!);
        this.states.set(key, state, nowMs + reading.resetMs, nowMs);
      }
      return reading;
    });
    return { admitted, decidedAtMs: nowMs, dimensions };
  }
}

function keyOf(request: RateLimitStoreRequest, dimension: RateLimitDimension): string {
  return `${request.tenantId}:${counterIdentity(request.limiter, dimension)}`;
}

function readCounter(
  state: CounterState | undefined,
  { rule }: RateLimitDimension,
  cost: number,
  nowMs: number,
): Counter {
  if (rule.algorithm === 'token-bucket') {
    const bucketRule = { limit: rule.limit, windowMs: rule.windowMs, burst: ruleCapacity(rule) };
    const bucket = drainBucket((state as TokenBucketState | undefined) ?? EMPTY_BUCKET, bucketRule, nowMs);
    const waitMs = bucketWaitMs(bucket, bucketRule, cost);
    return {
      waitMs,
      after(units) {
        const next = takeFromBucket(bucket, bucketRule, units);
        return {
          state: next,
          remaining: bucketRemaining(next, bucketRule),
          retryAfterMs: waitMs,
          resetMs: bucketResetMs(next, bucketRule),
        };
      },
    };
  }
  const known = (state as readonly WindowSlice[] | undefined) ?? [];
  const windowAtMs = windowNow(known, rule.windowMs, nowMs);
  const slices = liveSlices(known, rule.windowMs, windowAtMs);
  const waitMs = windowWaitMs(slices, rule, cost, windowAtMs);
  return {
    waitMs,
    after(units) {
      const added = Math.min(units, 2 * rule.limit - countSlices(slices));
      const next = addToWindow(slices, rule.windowMs, added, windowAtMs);
      return {
        state: next,
        remaining: Math.max(0, rule.limit - countSlices(next)),
        retryAfterMs: waitMs,
        resetMs: windowResetMs(next, rule.windowMs, windowAtMs),
      };
    },
  };
}
