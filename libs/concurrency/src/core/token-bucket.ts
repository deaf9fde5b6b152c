export interface TokenBucketRule {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

/**
 * A token bucket, kept as the level of a leaky meter: the "continuous-state leaky bucket" form of the generic
 * cell rate algorithm (ITU-T I.371, annex A). The level counts consumed tokens times `windowMs`, so the refill of
 * `limit / windowMs` tokens per millisecond is the whole number `limit` and nothing is ever rounded.
 * `lua/includes/limit-rules.lua` is the same arithmetic.
 */
export class TokenBucket {
  private level = 0;
  /** Time the level was computed for. */
  private atMs = 0;

  /** Lets time pass. Time that goes back stands still. */
  advance(rule: TokenBucketRule, nowMs: number): void {
    if (nowMs <= this.atMs) return;
    this.level = Math.max(0, this.level - (nowMs - this.atMs) * rule.limit);
    this.atMs = nowMs;
  }

  /** Whole tokens available. */
  remaining(rule: TokenBucketRule): number {
    return Math.max(0, Math.floor((rule.burst * rule.windowMs - this.level) / rule.windowMs));
  }

  /** Milliseconds until `cost` tokens are available; 0 when they are. */
  waitMs(rule: TokenBucketRule, cost: number): number {
    return Math.max(0, Math.ceil((this.level + (cost - rule.burst) * rule.windowMs) / rule.limit));
  }

  /** Milliseconds until the bucket is full of tokens. */
  resetMs(rule: TokenBucketRule): number {
    return Math.ceil(this.level / rule.limit);
  }

  /** Takes `cost` tokens, into debt if need be; the debt ends at `limit` tokens, one window's refill. */
  take(rule: TokenBucketRule, cost: number): void {
    this.level = Math.min((rule.burst + rule.limit) * rule.windowMs, this.level + cost * rule.windowMs);
  }
}
