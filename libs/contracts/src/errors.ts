const BRAND = Symbol.for('@sparkle/contracts/SparkleError');

/**
 * Base of every error a Sparkle library throws on purpose. Subclasses have a literal `code`
 * (`UPPER_SNAKE`), a message fit for the caller (what was wrong, what is allowed, no secrets, no other
 * tenant's data) and the underlying failure as `cause`.
 */
export abstract class SparkleError extends Error {
  abstract readonly code: string;
  readonly [BRAND] = true;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** True for a {@link SparkleError}, also when two copies of this package are installed. */
export function isSparkleError(error: unknown): error is SparkleError {
  return typeof error === 'object' && error !== null && BRAND in error;
}
