/**
 * State of a token bucket, kept as the level of a leaky meter: the "continuous-state leaky bucket" form of the
 * generic cell rate algorithm (ITU-T I.371, annex A). `level` counts consumed tokens times `windowMs`, so the
 * refill of `limit / windowMs` tokens per millisecond is the whole number `limit` and nothing is ever rounded.
 * `lua/includes/limit-rules.lua` is the same arithmetic.
 */
export interface TokenBucketState {
  level: number;
  /** Time the level was computed for. */
  atMs: number;
}

export interface TokenBucketRule {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

export const EMPTY_BUCKET: TokenBucketState = { level: 0, atMs: 0 };

/** The bucket at `nowMs`. Time that goes back stands still instead. */
export function drainBucket(state: TokenBucketState, rule: TokenBucketRule, nowMs: number): TokenBucketState {
  const atMs = Math.max(nowMs, state.atMs);
  return { level: Math.max(0, state.level - (atMs - state.atMs) * rule.limit), atMs };
}

/** Whole tokens available in a drained bucket. */
export function bucketRemaining(state: TokenBucketState, rule: TokenBucketRule): number {
  return Math.max(0, Math.floor((rule.burst * rule.windowMs - state.level) / rule.windowMs));
}

/** Milliseconds until `cost` tokens are available in a drained bucket; 0 when they are. */
export function bucketWaitMs(state: TokenBucketState, rule: TokenBucketRule, cost: number): number {
  const excess = state.level + cost * rule.windowMs - rule.burst * rule.windowMs;
  return Math.max(0, Math.ceil(excess / rule.limit));
}

/** Milliseconds until a drained bucket is full of tokens. */
export function bucketResetMs(state: TokenBucketState, rule: TokenBucketRule): number {
  return Math.ceil(state.level / rule.limit);
}

/** Takes `cost` tokens, into debt if need be; the debt ends at `limit` tokens, one window's refill. */
export function takeFromBucket(
  state: TokenBucketState,
  rule: TokenBucketRule,
  cost: number,
): TokenBucketState {
  const floor = (rule.burst + rule.limit) * rule.windowMs;
  return { level: Math.min(floor, state.level + cost * rule.windowMs), atMs: state.atMs };
}
