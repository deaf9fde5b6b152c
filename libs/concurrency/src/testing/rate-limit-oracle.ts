import type { RateLimitRule } from '../ports/rate-limit-store.port.js';

/** One admitted request. */
export interface Admission {
  readonly atMs: number;
  readonly cost: number;
}

/** The most that any window of `windowMs`, both ends included, has admitted: counted one by one. */
export function mostInAnyWindow(admissions: readonly Admission[], windowMs: number): number {
  let most = 0;
  for (const end of admissions) {
    let total = 0;
    for (const { atMs, cost } of admissions) {
      if (atMs >= end.atMs - windowMs && atMs <= end.atMs) total += cost;
    }
    most = Math.max(most, total);
  }
  return most;
}

/** What a rule promises never to exceed in any window of its length. */
export function windowBound(rule: RateLimitRule): number {
  return rule.algorithm === 'token-bucket' ? rule.limit + (rule.burst ?? rule.limit) : rule.limit;
}
