import { type Clock, channels, type LimitEvent, type TenantId } from '@sparkle/contracts';
import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { RateLimitedError, RateLimitRequestInvalidError, RateLimitStoreError } from '../errors.js';
import type {
  RateLimitDimension,
  RateLimitReading,
  RateLimitRule,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../ports/rate-limit-store.port.js';
import { checkRateLimitRequest, isLimitName } from './rate-limit-rule.js';

/**
 * What to do while the store fails or is slow.
 *
 * - `open`: admit everything, unchecked.
 * - `closed`: refuse everything with {@link RateLimitStoreError}.
 * - `local`: each process counts for itself with the same rules, so the cluster admits up to the number of
 *   processes times the limit.
 */
export type OutagePolicy = 'open' | 'closed' | 'local';

export interface RateLimitRequest {
  readonly tenantId: TenantId;
  /** Every one of them must have room. 1 to 16. */
  readonly dimensions: readonly RateLimitDimension[];
  /** Units this request consumes from each dimension. Default 1. */
  readonly cost?: number;
}

/** State of one dimension after a decision. */
export interface DimensionDecision {
  readonly name: string;
  readonly rule: RateLimitRule;
  readonly limit: number;
  readonly remaining: number;
  readonly retryAfterMs: number;
  readonly resetMs: number;
}

export interface RateLimitDecision {
  readonly admitted: boolean;
  /** `unchecked`: the store failed and the outage policy is `open`. */
  readonly source: 'store' | 'local' | 'unchecked';
  /**
   * When refused, the dimension that refused (of several, the one to wait for longest); when admitted, the one
   * with the smallest share left. `undefined` only when unchecked.
   */
  readonly dimension: DimensionDecision | undefined;
  /** Every dimension, in the request's order. */
  readonly dimensions: readonly DimensionDecision[];
  /** The store's time of the decision, milliseconds; `undefined` when unchecked. */
  readonly decidedAtMs: number | undefined;
}

export interface RateLimiterSettings {
  /** Name in keys, metrics and errors. Limiters with the same name share counters. */
  readonly name: string;
  readonly outagePolicy: OutagePolicy;
  /** Consecutive store failures after which the store is left alone for {@link recoveryMs}. Default 5. */
  readonly failureThreshold?: number;
  /** Pause before a failing store is tried again, milliseconds. Default 1000. */
  readonly recoveryMs?: number;
}

/**
 * Decides several rate limits at once, all or nothing. While the store fails, the outage policy decides; after
 * some failures in a row it does so without asking, until a probe succeeds.
 */
export class RateLimiter {
  readonly name: string;
  private readonly breaker: CircuitBreakerPolicy;
  /** The store's last answer was one: the breaker has nothing to count, and is left out of the way. */
  private healthy = true;

  /**
   * @param store must reject, not hang: the Redis adapter bounds each call by its time budget.
   * @param localStore counts for the `local` outage policy.
   */
  constructor(
    private readonly store: RateLimitStore,
    private readonly localStore: RateLimitStore,
    private readonly clock: Clock,
    private readonly settings: RateLimiterSettings,
  ) {
    if (!isLimitName(settings.name)) {
      throw new RateLimitRequestInvalidError(
        'The name of a limiter is 1 to 64 characters of a-z, A-Z, 0-9, "_", ".", "/" and "-".',
      );
    }
    this.name = settings.name;
    this.breaker = circuitBreaker(handleWhen(isOutage), {
      halfOpenAfter: settings.recoveryMs ?? 1000,
      breaker: new ConsecutiveBreaker(settings.failureThreshold ?? 5),
    });
  }

  /**
   * Consumes the request's cost from every dimension when all have room, and nothing otherwise.
   * @throws RateLimitStoreError when the store failed and the outage policy is `closed`.
   * @throws RateLimitRequestInvalidError when the request could never be admitted.
   */
  consume(request: RateLimitRequest): Promise<RateLimitDecision> {
    return channels.limit.hasSubscribers ? this.consumePublicly(request) : this.ask('consume', request);
  }

  /**
   * Like {@link consume}, refusing by error.
   * @throws RateLimitedError when a dimension has no room.
   */
  async consumeOrThrow(request: RateLimitRequest): Promise<RateLimitDecision> {
    const decision = await this.consume(request);
    if (!decision.admitted) throw refusalError(this.name, decision);
    return decision;
  }

  /** What {@link consume} would decide, consuming nothing. */
  peek(request: RateLimitRequest): Promise<RateLimitDecision> {
    return this.ask('peek', request);
  }

  /** Consumes although there may be no room, e.g. after abuse; the debt is bounded by one `limit`. */
  penalise(request: RateLimitRequest): Promise<RateLimitDecision> {
    return this.ask('penalise', request);
  }

  /**
   * Forgets what was consumed from the given dimensions, here and in the store.
   * @throws RateLimitStoreError when the store failed, whatever the outage policy.
   */
  async reset(request: Omit<RateLimitRequest, 'cost'>): Promise<void> {
    checkRateLimitRequest(request.dimensions, 1);
    const stored = { ...request, limiter: this.name, cost: 1 };
    await this.localStore.reset(stored);
    try {
      await this.breaker.execute(() => this.store.reset(stored));
    } catch (error) {
      throw new RateLimitStoreError(error);
    }
  }

  private async consumePublicly(request: RateLimitRequest): Promise<RateLimitDecision> {
    const startedAt = this.clock.monotonic();
    const decision = await this.ask('consume', request);
    this.publish(request, decision, this.clock.monotonic() - startedAt);
    return decision;
  }

  private async ask(
    method: 'consume' | 'peek' | 'penalise',
    request: RateLimitRequest,
  ): Promise<RateLimitDecision> {
    const cost = request.cost ?? 1;
    checkRateLimitRequest(request.dimensions, cost);
    const { tenantId, dimensions } = request;
    const stored = { tenantId, limiter: this.name, cost, dimensions };
    try {
      return decisionOf(dimensions, await this.askStore(method, stored), 'store');
    } catch (error) {
      if (!isOutage(error)) throw error;
      channels.limit.publish({ tenantId, limiter: this.name, kind: 'rate', outcome: 'store_failed' });
      switch (this.settings.outagePolicy) {
        case 'closed':
          throw new RateLimitStoreError(error);
        case 'local':
          return decisionOf(dimensions, await this.localStore[method](stored), 'local');
        case 'open':
          return {
            admitted: true,
            source: 'unchecked',
            dimension: undefined,
            dimensions: [],
            decidedAtMs: undefined,
          };
      }
    }
  }

  private async askStore(
    method: 'consume' | 'peek' | 'penalise',
    request: RateLimitStoreRequest,
  ): Promise<RateLimitReading> {
    if (!this.healthy) {
      const reading = await this.breaker.execute(() => this.store[method](request));
      this.healthy = true;
      return reading;
    }
    try {
      return await this.store[method](request);
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.healthy = false;
      await this.breaker.execute(() => Promise.reject(error)).catch(() => undefined);
      throw error;
    }
  }

  private publish(request: RateLimitRequest, decision: RateLimitDecision, waitMs: number): void {
    const event: LimitEvent = {
      tenantId: request.tenantId,
      limiter: this.name,
      kind: 'rate',
      outcome: decision.admitted ? 'admitted' : 'limited',
      waitMs,
    };
    if (!decision.admitted && decision.dimension) event.dimension = decision.dimension.name;
    channels.limit.publish(event);
  }
}

/** Whether an error of the store says that nobody knows, not that the request was wrong. */
function isOutage(error: unknown): boolean {
  return !(error instanceof RateLimitRequestInvalidError);
}

/** The error that says what a refused decision says. */
export function refusalError(limiter: string, decision: RateLimitDecision): RateLimitedError {
  const { name, limit, remaining, retryAfterMs, resetMs } = decision.dimension!;
  return new RateLimitedError({ limiter, dimension: name, limit, remaining, retryAfterMs, resetMs });
}

function decisionOf(
  requested: readonly RateLimitDimension[],
  { admitted, dimensions: readings, decidedAtMs }: RateLimitReading,
  source: 'store' | 'local',
): RateLimitDecision {
  const dimensions: DimensionDecision[] = [];
  let named: DimensionDecision | undefined;
  for (let i = 0; i < requested.length; i++) {
    const { name, rule } = requested[i]!;
    const { remaining, retryAfterMs, resetMs } = readings[i]!;
    const decision = { name, rule, limit: rule.limit, remaining, retryAfterMs, resetMs };
    dimensions.push(decision);
    if (!named || (admitted ? isTighter(decision, named) : decision.retryAfterMs > named.retryAfterMs)) {
      named = decision;
    }
  }
  return { admitted, source, dimension: named, dimensions, decidedAtMs };
}

function isTighter(a: DimensionDecision, b: DimensionDecision): boolean {
  return a.remaining / a.limit < b.remaining / b.limit;
}
