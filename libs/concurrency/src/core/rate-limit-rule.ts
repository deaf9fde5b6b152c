import { RateLimitRequestInvalidError } from '../errors.js';
import type { RateLimitDimension, RateLimitRule } from '../ports/rate-limit-store.port.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,63}$/;
/** Scaled levels of a bucket stay exact integers below this product of tokens and milliseconds. */
const MAX_SCALED = Number.MAX_SAFE_INTEGER / 8;

/** The most a rule ever admits at once. */
export function ruleCapacity(rule: RateLimitRule): number {
  return rule.algorithm === 'token-bucket' ? (rule.burst ?? rule.limit) : rule.limit;
}

/** Part of a counter's identity: counts made under another window mean something else. */
export function ruleFingerprint(rule: RateLimitRule): string {
  return `${rule.algorithm === 'token-bucket' ? 'b' : 'w'}${rule.windowMs}`;
}

export function isLimitName(name: string): boolean {
  return NAME.test(name);
}

function isPositiveInteger(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

/** Whether two dimensions of one limiter share a counter, as their identities say. */
export function countsTheSame(a: RateLimitDimension, b: RateLimitDimension): boolean {
  return (
    a.key === b.key &&
    a.name === b.name &&
    a.rule.windowMs === b.rule.windowMs &&
    a.rule.algorithm === b.rule.algorithm
  );
}

/**
 * Refuses what no state of the counters could ever admit.
 * @throws RateLimitRequestInvalidError naming the first thing that is wrong.
 */
export function checkRateLimitRequest(dimensions: readonly RateLimitDimension[], cost: number): void {
  if (!isPositiveInteger(cost)) {
    throw new RateLimitRequestInvalidError('The cost of a request is a whole number of at least 1.');
  }
  if (dimensions.length === 0 || dimensions.length > 16) {
    throw new RateLimitRequestInvalidError('A rate limit request names 1 to 16 dimensions.');
  }
  for (const [i, dimension] of dimensions.entries()) {
    const { name, key, rule } = dimension;
    if (!isLimitName(name)) {
      throw new RateLimitRequestInvalidError(
        'The name of a dimension is 1 to 64 characters of a-z, A-Z, 0-9, "_", ".", "/" and "-".',
      );
    }
    if (key === '') throw new RateLimitRequestInvalidError(`The key of dimension "${name}" is empty.`);
    const capacity = ruleCapacity(rule);
    if (!isPositiveInteger(rule.limit) || !isPositiveInteger(rule.windowMs) || !isPositiveInteger(capacity)) {
      throw new RateLimitRequestInvalidError(
        `The limit, window and burst of dimension "${name}" are whole numbers of at least 1.`,
      );
    }
    if ((rule.limit + capacity) * rule.windowMs > MAX_SCALED) {
      throw new RateLimitRequestInvalidError(
        `The limit of dimension "${name}" is too large for its window to be counted exactly.`,
      );
    }
    if (cost > capacity) {
      throw new RateLimitRequestInvalidError(
        `A cost of ${cost} never fits dimension "${name}", which admits at most ${capacity} at once.`,
      );
    }
    for (let other = 0; other < i; other++) {
      if (countsTheSame(dimension, dimensions[other]!)) {
        throw new RateLimitRequestInvalidError(`Dimension "${name}" is named twice with the same key.`);
      }
    }
  }
}
