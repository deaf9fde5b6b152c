import { AdaptiveLimitSettingsInvalidError } from '../errors.js';

/**
 * How a request ended. `success`: its duration says something about the load; `dropped`: it timed out or was
 * refused further on, which is a sign of overload; `ignored`: neither, e.g. it failed before it did anything.
 */
export type LimitOutcome = 'success' | 'ignored' | 'dropped';

/** One finished request that is not ignored. */
export interface LimitSample {
  /** How long it took, milliseconds. */
  readonly rttMs: number;
  /** Requests in flight when it began, itself included. */
  readonly inFlight: number;
  readonly dropped: boolean;
}

/** How many requests may be in flight at once, found out while they run. */
export interface AdaptiveLimit {
  /** A whole number of at least 1. */
  readonly limit: number;
  /** Learns from a finished request. */
  observe(sample: LimitSample): void;
}

/** A limit that does not adapt, to compare with or to begin with. */
export class FixedLimit implements AdaptiveLimit {
  /** @throws AdaptiveLimitSettingsInvalidError unless it is a whole number of at least 1. */
  constructor(readonly limit: number) {
    assertSetting('limit', limit, Number.isSafeInteger(limit) && limit >= 1, 'a whole number of at least 1');
  }

  observe(): void {}
}

export interface LimitBounds {
  /** The limit to begin with. Default 20. */
  readonly initial?: number;
  /** Default 1. */
  readonly min?: number;
  /** Default 1000. */
  readonly max?: number;
}

/** @throws AdaptiveLimitSettingsInvalidError unless they are whole numbers with 1 ≤ min ≤ initial ≤ max. */
export function parseBounds({ initial = 20, min = 1, max = 1000 }: LimitBounds): Required<LimitBounds> {
  const whole = [initial, min, max].every(Number.isSafeInteger);
  const ordered = 1 <= min && min <= initial && initial <= max;
  assertSetting(
    'initial, min and max',
    { initial, min, max },
    whole && ordered,
    'whole, 1 ≤ min ≤ initial ≤ max',
  );
  return { initial, min, max };
}

/** @throws AdaptiveLimitSettingsInvalidError unless `valid`. */
export function assertSetting(name: string, value: unknown, valid: boolean, allowed: string): void {
  if (valid) return;
  throw new AdaptiveLimitSettingsInvalidError(`${name} must be ${allowed}, not ${JSON.stringify(value)}.`);
}
