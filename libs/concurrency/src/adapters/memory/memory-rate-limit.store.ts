import type { Clock } from '@sparkle/contracts';
import { counterIdentity } from '../../core/counter-identity.js';
import { ruleCapacity } from '../../core/rate-limit-rule.js';
import { SlidingWindow } from '../../core/sliding-window.js';
import { TokenBucket } from '../../core/token-bucket.js';
import type {
  DimensionReading,
  RateLimitReading,
  RateLimitRule,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import { ExpiringMap } from './expiring-map.js';

/** One dimension's counter under the rule of one request. */
interface Counter {
  /** Milliseconds until `cost` fits. */
  waitMs(cost: number): number;
  /** Consumes, into a debt of at most one limit. */
  take(cost: number): void;
  readonly remaining: number;
  readonly resetMs: number;
}

type CounterState = TokenBucket | SlidingWindow;

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
    for (const key of keysOf(request)) this.states.delete(key);
  }

  private decide(request: RateLimitStoreRequest, mode: 'consume' | 'peek' | 'penalise'): RateLimitReading {
    const { cost, dimensions: requested } = request;
    const nowMs = Math.floor(this.clock.monotonic());
    const keys = keysOf(request);
    const states: CounterState[] = [];
    const counters: Counter[] = [];
    const waits: number[] = [];
    let admitted = true;
    for (const [i, { rule }] of requested.entries()) {
      const state = this.states.get(keys[i]!, nowMs) ?? unused(rule);
      const counter = counterOf(state, rule, nowMs);
      const waitMs = counter.waitMs(cost);
      if (waitMs > 0) admitted = false;
      states.push(state);
      counters.push(counter);
      waits.push(waitMs);
    }
    const takes = mode === 'penalise' || (mode === 'consume' && admitted);
    const dimensions: DimensionReading[] = [];
    for (const [i, counter] of counters.entries()) {
      if (takes) counter.take(cost);
      const { remaining, resetMs } = counter;
      if (takes) this.states.set(keys[i]!, states[i]!, nowMs + resetMs, nowMs);
      dimensions.push({ remaining, retryAfterMs: waits[i]!, resetMs });
    }
    return { admitted, decidedAtMs: nowMs, dimensions };
  }
}

function keysOf({ tenantId, limiter, dimensions }: RateLimitStoreRequest): string[] {
  return dimensions.map((dimension) => `${tenantId}:${counterIdentity(limiter, dimension)}`);
}

function unused(rule: RateLimitRule): CounterState {
  return rule.algorithm === 'token-bucket' ? new TokenBucket() : new SlidingWindow(rule.windowMs);
}

/** The state at `nowMs` as the rule sees it. */
function counterOf(state: CounterState, rule: RateLimitRule, nowMs: number): Counter {
  const { limit, windowMs } = rule;
  if (state instanceof SlidingWindow) {
    state.advance(nowMs);
    return {
      waitMs: (cost) => state.waitMs(limit, cost),
      take: (cost) => state.add(Math.min(cost, 2 * limit - state.total)),
      get remaining() {
        return Math.max(0, limit - state.total);
      },
      get resetMs() {
        return state.resetMs;
      },
    };
  }
  const bucketRule = { limit, windowMs, burst: ruleCapacity(rule) };
  state.advance(bucketRule, nowMs);
  return {
    waitMs: (cost) => state.waitMs(bucketRule, cost),
    take: (cost) => state.take(bucketRule, cost),
    get remaining() {
      return state.remaining(bucketRule);
    },
    get resetMs() {
      return state.resetMs(bucketRule);
    },
  };
}
