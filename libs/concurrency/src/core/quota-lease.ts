import type { RateLimitRule } from '../ports/rate-limit-store.port.js';
import { ruleCapacity } from './rate-limit-rule.js';

/** How a rule is counted in the store while processes lease parts of it. */
export interface LeasedRule {
  /** How long units may be used after they were asked for, milliseconds; 0 when the rule cannot be leased. */
  readonly lifeMs: number;
  /** The rule that leases are taken from. */
  readonly rule: RateLimitRule;
  /** The largest lease. */
  readonly maxUnits: number;
}

/**
 * Units leased at one time are used up to `lifeMs` later, so uses in any window come from leases of a window
 * that is `lifeMs` longer. The store must not admit more in that one than the rule does in its own:
 *
 * - a sliding window is counted over `windowMs + lifeMs`, where `lifeMs` is at most a twentieth of the window;
 * - a token bucket admits `burst + limit * t / windowMs` in any time `t`, so its burst is smaller by what flows
 *   in during `lifeMs`, at most a quarter of it. Its rate stays.
 */
export function leasedRule(rule: RateLimitRule, leaseMs: number, share: number): LeasedRule {
  const maxUnitsOf = (units: number) => Math.max(1, Math.floor(units * share));
  const { limit, windowMs } = rule;
  if (rule.algorithm === 'sliding-window') {
    const lifeMs = Math.min(leaseMs, Math.floor(windowMs / 20));
    return { lifeMs, rule: { ...rule, windowMs: windowMs + lifeMs }, maxUnits: maxUnitsOf(limit) };
  }
  const capacity = ruleCapacity(rule);
  const lifeMs = Math.min(leaseMs, Math.floor((capacity * windowMs) / (4 * limit)));
  const burst = capacity - Math.ceil((limit * lifeMs) / windowMs);
  if (burst < 1) return { lifeMs: 0, rule, maxUnits: 1 };
  return { lifeMs, rule: { ...rule, burst }, maxUnits: maxUnitsOf(burst) };
}

interface Lease {
  units: number;
  readonly endsAtMs: number;
}

/** What one process holds of one counter, and what it last heard of it. Times are its monotonic clock's. */
export class QuotaHolding {
  /** The lease being asked for. */
  underway: Promise<void> | undefined;
  /** Units that requests wait for. */
  wanted = 0;
  private leases: Lease[] = [];
  /** Units used since the last lease was taken. */
  private used = 0;
  private refusal:
    | { readonly cost: number; readonly untilMs: number; readonly retryAtMs: number }
    | undefined;
  /** Units nobody had when the last lease was taken. */
  private leftInStore = 0;
  private unusedAtMs = 0;

  constructor(readonly leased: LeasedRule) {}

  /** Units at hand. */
  available(nowMs: number): number {
    let units = 0;
    for (const lease of this.leases) if (lease.endsAtMs > nowMs) units += lease.units;
    return units;
  }

  /** Whether the store has said that so much does not fit before a time that has not come. */
  refuses(cost: number, nowMs: number): boolean {
    return this.refusal !== undefined && cost >= this.refusal.cost && nowMs < this.refusal.untilMs;
  }

  /** Uses units that are at hand. */
  take(cost: number, nowMs: number): void {
    this.used += cost;
    let rest = cost;
    let spent = 0;
    for (const lease of this.leases) {
      if (lease.endsAtMs > nowMs) {
        const units = Math.min(rest, lease.units);
        lease.units -= units;
        rest -= units;
      }
      if (lease.units === 0 || lease.endsAtMs <= nowMs) spent += 1;
      if (rest === 0) break;
    }
    if (spent > 0) this.leases.splice(0, spent);
  }

  /** Twice what the last lease was used for: a quiet process holds little, and a busy one asks rarely. */
  nextUnits(cost: number): number {
    return Math.max(cost, Math.min(this.leased.maxUnits, Math.max(this.wanted, 2 * this.used)));
  }

  admit(units: number, askedAtMs: number, left: { remaining: number; resetMs: number }): void {
    this.leases = this.leases.filter((lease) => lease.endsAtMs > askedAtMs && lease.units > 0);
    this.leases.push({ units, endsAtMs: askedAtMs + this.leased.lifeMs });
    this.used = 0;
    this.refusal = undefined;
    this.note(askedAtMs, left);
  }

  /** Remembers that `cost` does not fit, for a lease's life at most: somebody may reset the counter. */
  refuse(
    cost: number,
    askedAtMs: number,
    left: { remaining: number; resetMs: number; retryAfterMs: number },
  ): void {
    const { retryAfterMs } = left;
    const untilMs = askedAtMs + Math.min(retryAfterMs, this.leased.lifeMs);
    this.refusal = { cost, untilMs, retryAtMs: askedAtMs + retryAfterMs };
    this.note(askedAtMs, left);
  }

  forget(): void {
    this.leases = [];
    this.refusal = undefined;
  }

  /** As far as this process knows. */
  reading(cost: number, nowMs: number): { remaining: number; retryAfterMs: number; resetMs: number } {
    const { refusal } = this;
    return {
      remaining: this.available(nowMs) + this.leftInStore,
      retryAfterMs: refusal && this.refuses(cost, nowMs) ? Math.ceil(refusal.retryAtMs - nowMs) : 0,
      resetMs: Math.max(0, Math.ceil(this.unusedAtMs - nowMs)),
    };
  }

  private note(askedAtMs: number, { remaining, resetMs }: { remaining: number; resetMs: number }): void {
    this.leftInStore = remaining;
    this.unusedAtMs = askedAtMs + resetMs;
  }
}
