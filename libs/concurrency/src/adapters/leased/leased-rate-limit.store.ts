import type { Clock } from '@sparkle/contracts';
import { counterIdentity } from '../../core/counter-identity.js';
import { leasedRule, QuotaHolding } from '../../core/quota-lease.js';
import { ruleCapacity } from '../../core/rate-limit-rule.js';
import { RateLimitRequestInvalidError } from '../../errors.js';
import type {
  RateLimitDimension,
  RateLimitReading,
  RateLimitStore,
  RateLimitStoreRequest,
} from '../../ports/rate-limit-store.port.js';
import { ExpiringMap } from '../memory/expiring-map.js';

/** Leases that are over, or used by others, before a request gets at them; then the store decides it. */
const MAX_ATTEMPTS = 3;

export interface QuotaLeaseSettings {
  /**
   * How long leased units may be used, milliseconds; shorter for a rule whose window is less than 20 times that.
   * Default 100.
   */
  readonly leaseMs?: number;
  /** The largest part of a limit that one lease takes, above 0 and up to 1. Default 1/20. */
  readonly share?: number;
  /** Bound of memory; beyond it the holdings next in turn are lost. Default 100,000. */
  readonly maxHoldings?: number;
}

/**
 * For rates that no store could decide one by one: leases slices of each counter from a store and decides
 * locally while they last. The store counts a lease in full when it is taken, over a window that is longer by a
 * lease's life, so **no window ever admits more than the rule says**, over all processes and also when some
 * crash. The price is that less may be admitted: what is leased and not used within {@link
 * QuotaLeaseSettings.leaseMs} is lost (a crash loses one lease per counter, at most `share` of the limit), and a
 * sliding window gives units back up to a twentieth of the window later.
 *
 * Every process that counts against a limiter must lease with the same settings. Rules too short to lease from
 * (windows under 20 ms) are decided by the store.
 */
export class LeasedRateLimitStore implements RateLimitStore {
  private readonly leaseMs: number;
  private readonly share: number;
  private readonly holdings: ExpiringMap<QuotaHolding>;
  /** The store's time minus this process's. */
  private offsetMs = 0;

  /** @throws RateLimitRequestInvalidError for settings out of range. */
  constructor(
    private readonly store: RateLimitStore,
    private readonly clock: Clock,
    { leaseMs = 100, share = 1 / 20, maxHoldings = 100_000 }: QuotaLeaseSettings = {},
  ) {
    if (!Number.isSafeInteger(leaseMs) || leaseMs < 1 || !(share > 0 && share <= 1)) {
      throw new RateLimitRequestInvalidError(
        'A quota lease lives for a whole number of milliseconds and takes a share above 0 and up to 1.',
      );
    }
    this.leaseMs = leaseMs;
    this.share = share;
    this.holdings = new ExpiringMap(maxHoldings);
  }

  async consume(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    const holdings = this.holdingsOf(request);
    if (!holdings) return this.store.consume(this.leasedRequest(request));
    const { cost } = request;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const nowMs = this.clock.monotonic();
      const refused = holdings.some((holding) => holding.refuses(cost, nowMs));
      if (refused) return this.reading(holdings, cost, false, nowMs);
      const asked: Promise<void>[] = [];
      for (const [i, holding] of holdings.entries()) {
        if (holding.available(nowMs) < cost) asked.push(this.lease(holding, request, request.dimensions[i]!));
      }
      if (asked.length === 0) {
        for (const holding of holdings) holding.take(cost, nowMs);
        return this.reading(holdings, cost, true, nowMs);
      }
      await Promise.all(asked);
    }
    return this.store.consume(this.leasedRequest(request));
  }

  /** Asks the store unless all units are at hand. */
  async peek(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    const holdings = this.holdingsOf(request);
    const nowMs = this.clock.monotonic();
    if (holdings?.every((holding) => holding.available(nowMs) >= request.cost)) {
      return this.reading(holdings, request.cost, true, nowMs);
    }
    return this.store.peek(this.leasedRequest(request));
  }

  /** Gives up what is at hand, too. */
  async penalise(request: RateLimitStoreRequest): Promise<RateLimitReading> {
    for (const holding of this.holdingsOf(request) ?? []) holding.forget();
    return this.store.penalise(this.leasedRequest(request));
  }

  /** Other processes notice within a lease's life. */
  async reset(request: RateLimitStoreRequest): Promise<void> {
    for (const holding of this.holdingsOf(request) ?? []) holding.forget();
    await this.store.reset(this.leasedRequest(request));
  }

  /** One for each dimension; `undefined` when some rule cannot be leased from. */
  private holdingsOf({
    tenantId,
    limiter,
    cost,
    dimensions,
  }: RateLimitStoreRequest): QuotaHolding[] | undefined {
    const nowMs = this.clock.monotonic();
    const found: QuotaHolding[] = [];
    for (const dimension of dimensions) {
      const { rule } = dimension;
      const key = `${tenantId}:${rule.limit}:${ruleCapacity(rule)}:${counterIdentity(limiter, dimension)}`;
      let holding = this.holdings.get(key, nowMs);
      if (!holding) {
        const leased = leasedRule(rule, this.leaseMs, this.share);
        if (leased.lifeMs < 1) return undefined;
        holding = new QuotaHolding(leased);
        this.holdings.set(key, holding, nowMs + rule.windowMs, nowMs);
      }
      const capacity = ruleCapacity(holding.leased.rule);
      if (cost > capacity) {
        throw new RateLimitRequestInvalidError(
          `A cost of ${cost} never fits dimension "${dimension.name}", which admits at most ${capacity} at ` +
            'once while it is leased.',
        );
      }
      found.push(holding);
    }
    return found;
  }

  /** Takes a lease of at least the request's cost, or learns that it does not fit. */
  private async lease(
    holding: QuotaHolding,
    request: RateLimitStoreRequest,
    dimension: RateLimitDimension,
  ): Promise<void> {
    holding.wanted += request.cost;
    holding.underway ??= this.ask(holding, request, dimension).finally(() => {
      holding.underway = undefined;
    });
    try {
      await holding.underway;
    } finally {
      holding.wanted -= request.cost;
    }
  }

  private async ask(
    holding: QuotaHolding,
    { tenantId, limiter, cost: least }: RateLimitStoreRequest,
    { name, key }: RateLimitDimension,
  ): Promise<void> {
    // Those who ask in the same turn of the event loop are to be served by the same lease.
    await Promise.resolve();
    const dimensions = [{ name, key, rule: holding.leased.rule }];
    let units = holding.nextUnits(least);
    for (;;) {
      const askedAtMs = this.clock.monotonic();
      const reading = await this.store.consume({ tenantId, limiter, cost: units, dimensions });
      this.offsetMs = reading.decidedAtMs - askedAtMs;
      const left = reading.dimensions[0]!;
      if (reading.admitted) return holding.admit(units, askedAtMs, left);
      if (units === least) return holding.refuse(least, askedAtMs, left);
      units = Math.max(least, Math.min(left.remaining, Math.floor(units / 2)));
    }
  }

  private leasedRequest(request: RateLimitStoreRequest): RateLimitStoreRequest {
    const dimensions = request.dimensions.map((dimension) => ({
      ...dimension,
      rule: leasedRule(dimension.rule, this.leaseMs, this.share).rule,
    }));
    return { ...request, dimensions };
  }

  private reading(
    holdings: readonly QuotaHolding[],
    cost: number,
    admitted: boolean,
    nowMs: number,
  ): RateLimitReading {
    const dimensions = holdings.map((holding) => holding.reading(cost, nowMs));
    return { admitted, decidedAtMs: Math.floor(nowMs + this.offsetMs), dimensions };
  }
}
