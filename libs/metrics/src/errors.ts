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

/** Thrown at start when traces are to be exported and the process has set up OpenTelemetry already. */
export class TracingConflictError extends MetricsError {
  readonly code = 'TRACING_CONFLICT';

  constructor() {
    super(
      'OpenTelemetry is set up in this process already, so traces cannot be exported a second way. ' +
        'Set tracing.mode to "host" to use what is there.',
    );
  }
}

/** Thrown when a profile is asked for that cannot be taken so. */
export class ProfileOptionsInvalidError extends MetricsError {
  readonly code = 'PROFILE_OPTIONS_INVALID';

  constructor(readonly issues: readonly { readonly path: string; readonly message: string }[]) {
    super(
      `The profile cannot be taken so. ${issues.map(({ path, message }) => `${path || 'options'}: ${message}`).join('; ')}.`,
    );
  }
}

/** Thrown when a profile is being taken already: two would disturb each other, and the process. */
export class ProfileInProgressError extends MetricsError {
  readonly code = 'PROFILE_IN_PROGRESS';

  constructor(readonly running: string) {
    super(`A profile of this process is being taken already (${running}); one at a time.`);
  }
}

/** Thrown when a heap snapshot could exhaust the memory of the process. */
export class ProfileMemoryShortError extends MetricsError {
  readonly code = 'PROFILE_MEMORY_SHORT';

  constructor(
    readonly requiredBytes: number,
    readonly availableBytes: number,
  ) {
    const megabytes = (bytes: number) => Math.round(bytes / 1_048_576);
    super(
      `A heap snapshot needs about ${megabytes(requiredBytes)} MiB beside what is in use, and ` +
        `${megabytes(availableBytes)} MiB are left. A heap sampling profile needs none.`,
    );
  }
}

/** Thrown when whoever asked for a profile has left. */
export class ProfileAbortedError extends MetricsError {
  readonly code = 'PROFILE_ABORTED';

  constructor() {
    super('The profile was given up before it was complete.');
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

/** Thrown when the store of the fleet's figures fails; `cause` says how. */
export class FleetStoreError extends MetricsError {
  readonly code = 'FLEET_STORE_FAILED';

  constructor(cause: unknown) {
    super("The store of the fleet's figures failed.", { cause });
  }
}

/** Thrown when the store of the fleet's figures does not answer in time. */
export class FleetStoreTimeoutError extends MetricsError {
  readonly code = 'FLEET_STORE_TIMEOUT';

  constructor(readonly timeoutMs: number) {
    super(`The store of the fleet's figures did not answer within ${timeoutMs} ms.`);
  }
}
