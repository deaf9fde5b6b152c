import type { TenantId } from '@sparkle/contracts';

/**
 * How much a dimension admits.
 *
 * - `token-bucket`: `limit` per `windowMs` on average and up to `burst` at once (default `burst` = `limit`).
 *   No window of `windowMs` ever admits more than `limit + burst`.
 * - `sliding-window`: no window of `windowMs`, wherever it starts, ever admits more than `limit`. A consumed
 *   unit is given back between `windowMs` and `windowMs + windowMs / 60` later.
 */
export type RateLimitRule =
  | {
      readonly algorithm: 'token-bucket';
      readonly limit: number;
      readonly windowMs: number;
      readonly burst?: number;
    }
  | { readonly algorithm: 'sliding-window'; readonly limit: number; readonly windowMs: number };

/** One thing a request counts against, e.g. dimension `user` with the user's id as key. */
export interface RateLimitDimension {
  /** Name shown to callers and in metrics: 1–64 characters of `a-z A-Z 0-9 _ . / -`. */
  readonly name: string;
  /** Whose counter it is, inside the tenant and the dimension. */
  readonly key: string;
  readonly rule: RateLimitRule;
}

export interface RateLimitStoreRequest {
  readonly tenantId: TenantId;
  readonly limiter: string;
  readonly cost: number;
  readonly dimensions: readonly RateLimitDimension[];
}

/** State of one dimension, in the order of the request's dimensions. */
export interface DimensionReading {
  /** Units that could be consumed now; never negative. */
  readonly remaining: number;
  /** Milliseconds until `cost` fits; 0 when it fits (or fitted) now. */
  readonly retryAfterMs: number;
  /** Milliseconds until the dimension is entirely unused again. */
  readonly resetMs: number;
}

export interface RateLimitReading {
  readonly admitted: boolean;
  /** The store's time of the decision, milliseconds. */
  readonly decidedAtMs: number;
  readonly dimensions: readonly DimensionReading[];
}

/**
 * Counters of rate limits. Every method decides all dimensions atomically, in one round trip, on the store's
 * own clock. Failures reject with any error; `RateLimiter` translates them.
 */
export interface RateLimitStore {
  /** Consumes `cost` from every dimension when all of them have room, and nothing otherwise. */
  consume(request: RateLimitStoreRequest): Promise<RateLimitReading>;
  /** What {@link consume} would answer, consuming nothing. */
  peek(request: RateLimitStoreRequest): Promise<RateLimitReading>;
  /** Consumes `cost` whether there is room or not; the debt of a dimension is bounded by one `limit`. */
  penalise(request: RateLimitStoreRequest): Promise<RateLimitReading>;
  /** Forgets everything consumed from the given dimensions. */
  reset(request: RateLimitStoreRequest): Promise<void>;
}

/** Injection token of the {@link RateLimitStore} port. */
export const RateLimitStore = Symbol('RateLimitStore');
