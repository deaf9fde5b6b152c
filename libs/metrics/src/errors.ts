import { SparkleError } from '@sparkle/contracts';

/** Base of every error `@sparkle/metrics` throws on purpose. */
export abstract class MetricsError extends SparkleError {}

/** Thrown at start when options are wrong; names every wrong path, never a value. */
export class MetricsOptionsInvalidError extends MetricsError {
  readonly code = 'METRICS_OPTIONS_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`Metrics options are invalid. ${problems.join('; ')}.`);
  }
}

/** Thrown when a health indicator's name is not 1–63 characters of `a-z 0-9 _ -`. */
export class HealthIndicatorNameInvalidError extends MetricsError {
  readonly code = 'HEALTH_INDICATOR_NAME_INVALID';

  constructor() {
    super('A health indicator\'s name is 1 to 63 characters of a-z, 0-9, "_" and "-".');
  }
}

/** Thrown when two health indicators want the same name. */
export class HealthIndicatorDuplicateError extends MetricsError {
  readonly code = 'HEALTH_INDICATOR_DUPLICATE';

  constructor(readonly indicator: string) {
    super(`A health indicator named "${indicator}" is registered already; names must differ.`);
  }
}
