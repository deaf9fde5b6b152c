import { Reflector } from '@nestjs/core';

/** A sliding window: at most `limit` in any `windowMs` milliseconds. */
export interface WindowLimit {
  readonly limit: number;
  readonly windowMs: number;
}

/** What `@RateLimit` says about a controller or a route; the route's settings win one by one. */
export interface RateLimitSettings {
  /**
   * Names the action, which switches the per-user, per-action and per-tenant windows on. 1–64 characters of
   * `a-z A-Z 0-9 _ . / -`.
   */
  readonly action?: string;
  /** Units a request consumes. Default 1. */
  readonly cost?: number;
  /** Per user. Own settings count this action alone; the default counts all actions. `false`: none. */
  readonly userLimit?: WindowLimit | false;
  /** Per action. `false`: none. */
  readonly actionLimit?: WindowLimit | false;
  /** Whole tenant. Own settings count this action alone; the default counts all actions. `false`: none. */
  readonly tenantLimit?: WindowLimit | false;
  /** Not limited at all and no tenant needed: health checks, metrics, public pages. */
  readonly skip?: boolean;
}

/** Sets the rate limits of a controller or a route. */
export const RateLimit = Reflector.createDecorator<RateLimitSettings>();
