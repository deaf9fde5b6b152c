import type { DimensionDecision, RateLimitDecision } from '../core/rate-limiter.js';

function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

/** A structured field string (RFC 9651, section 3.3.3); names contain nothing that needs escaping. */
function quoted(name: string): string {
  return `"${name}"`;
}

function policy({ name, rule }: DimensionDecision): string {
  return `${quoted(name)};q=${rule.limit};w=${seconds(rule.windowMs)}`;
}

function state({ name, remaining, resetMs }: DimensionDecision): string {
  return `${quoted(name)};r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
}

/**
 * `RateLimit-Policy` (quota `q` per window of `w` seconds) and `RateLimit` (`r` remaining, entirely restored
 * after `t` seconds), one item per dimension, as draft-ietf-httpapi-ratelimit-headers-10 defines them, and on a
 * refusal `Retry-After` in whole seconds, at least 1. Nothing when the limits could not be checked.
 */
export function rateLimitHeaders(decision: RateLimitDecision): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  if (decision.dimensions.length === 0) return headers;
  headers.set('RateLimit-Policy', decision.dimensions.map(policy).join(', '));
  headers.set('RateLimit', decision.dimensions.map(state).join(', '));
  if (!decision.admitted && decision.dimension) {
    headers.set('Retry-After', String(seconds(decision.dimension.retryAfterMs)));
  }
  return headers;
}
