import { SparkleError } from '@sparkle/contracts';

/** Base of every error of `@sparkle/concurrency`. */
export abstract class ConcurrencyError extends SparkleError {}

/** The module's options do not fit their schema. Lists every wrong path, never a value. */
export class ConcurrencyOptionsInvalidError extends ConcurrencyError {
  readonly code = 'CONCURRENCY_OPTIONS_INVALID';

  /** @param problems one `path: what is wrong` per wrong option */
  constructor(readonly problems: readonly string[]) {
    super(`The options of @sparkle/concurrency are wrong:\n  ${problems.join('\n  ')}`);
  }
}

/** A request was refused because it would exceed a limit. Nothing was consumed. */
export class RateLimitedError extends ConcurrencyError {
  readonly code = 'RATE_LIMITED';
  readonly limiter: string;
  /** The dimension that refused; when several did, the one to wait for longest. */
  readonly dimension: string;
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds after which the same request fits, if nobody else consumes meanwhile. */
  readonly retryAfterMs: number;
  /** Milliseconds until the dimension is entirely unused again. */
  readonly resetMs: number;

  constructor(refusal: {
    limiter: string;
    dimension: string;
    limit: number;
    remaining: number;
    retryAfterMs: number;
    resetMs: number;
  }) {
    super(
      `Too many requests: the "${refusal.dimension}" limit of ${refusal.limit} is used up; ` +
        `retry in ${refusal.retryAfterMs} ms.`,
    );
    this.limiter = refusal.limiter;
    this.dimension = refusal.dimension;
    this.limit = refusal.limit;
    this.remaining = refusal.remaining;
    this.retryAfterMs = refusal.retryAfterMs;
    this.resetMs = refusal.resetMs;
  }
}

/** The store of the limits could not be asked in time; nobody knows whether the limit is reached. */
export class RateLimitStoreError extends ConcurrencyError {
  readonly code = 'LIMIT_STORE_FAILED';

  constructor(cause: unknown) {
    super('The rate limit could not be checked: its store failed or did not answer in time.', { cause });
  }
}

/** A rate limit request that could never be admitted, or is malformed. */
export class RateLimitRequestInvalidError extends ConcurrencyError {
  readonly code = 'RATE_LIMIT_REQUEST_INVALID';
}

/** A tenant has no plan and there is no default one. */
export class TenantPlanMissingError extends ConcurrencyError {
  readonly code = 'TENANT_PLAN_MISSING';

  constructor() {
    super('This tenant has no plan, so its requests are refused.');
  }
}

/** A tenant is suspended. */
export class TenantSuspendedError extends ConcurrencyError {
  readonly code = 'TENANT_SUSPENDED';

  constructor() {
    super('This tenant is suspended.');
  }
}

/** A tenant's stored plan does not fit the schema. Lists every wrong path, never a value. */
export class TenantPlanInvalidError extends ConcurrencyError {
  readonly code = 'TENANT_PLAN_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`This tenant's plan is wrong: ${problems.join('; ')}.`);
  }
}

/** The plans could not be read and no recent copy is at hand. */
export class TenantPlanStoreError extends ConcurrencyError {
  readonly code = 'TENANT_PLAN_STORE_FAILED';

  constructor(cause: unknown) {
    super('The plan of this tenant could not be read.', { cause });
  }
}

/** No permit was granted in time. The waiter has left the queue. */
export class PermitTimeoutError extends ConcurrencyError {
  readonly code = 'PERMIT_TIMEOUT';

  constructor(
    readonly semaphore: string,
    readonly timeoutMs: number,
  ) {
    super(`No permit of "${semaphore}" became free within ${timeoutMs} ms.`);
  }
}

/** The queue of a semaphore has reached its bound. */
export class PermitQueueFullError extends ConcurrencyError {
  readonly code = 'PERMIT_QUEUE_FULL';

  constructor(
    readonly semaphore: string,
    readonly maxWaiting: number,
  ) {
    super(`Already ${maxWaiting} callers wait for a permit of "${semaphore}"; no more are queued.`);
  }
}

/** The lease of a permit ended, or could not be renewed in time: its holder must stop. */
export class PermitLostError extends ConcurrencyError {
  readonly code = 'PERMIT_LOST';

  constructor(
    readonly semaphore: string,
    options?: { cause?: unknown },
  ) {
    super(`The permit of "${semaphore}" is no longer held.`, options);
  }
}

/** The store of the permits failed or did not answer in time. */
export class PermitStoreError extends ConcurrencyError {
  readonly code = 'PERMIT_STORE_FAILED';

  constructor(cause: unknown) {
    super('The permit could not be acquired: its store failed or did not answer in time.', { cause });
  }
}

/** The semaphores of this process were closed while the caller waited. */
export class SemaphoreClosedError extends ConcurrencyError {
  readonly code = 'SEMAPHORE_CLOSED';

  constructor() {
    super('This process is shutting down and grants no more permits.');
  }
}

/** A semaphore was defined or used with settings outside of their range. */
export class SemaphoreSettingsInvalidError extends ConcurrencyError {
  readonly code = 'SEMAPHORE_SETTINGS_INVALID';
}

/** A reservation would exceed the tenant's token budget. Nothing was reserved. */
export class TokenBudgetExceededError extends ConcurrencyError {
  readonly code = 'TOKEN_BUDGET_EXCEEDED';
  readonly budget: number;
  readonly requested: number;
  readonly remaining: number;
  /** Milliseconds after which the same reservation fits, if nothing else is reserved meanwhile. */
  readonly retryAfterMs: number;

  constructor(refusal: { budget: number; requested: number; remaining: number; retryAfterMs: number }) {
    super(
      `${refusal.requested} tokens were asked for and ${refusal.remaining} of the budget of ` +
        `${refusal.budget} remain; retry in ${refusal.retryAfterMs} ms.`,
    );
    this.budget = refusal.budget;
    this.requested = refusal.requested;
    this.remaining = refusal.remaining;
    this.retryAfterMs = refusal.retryAfterMs;
  }
}

/** A number of tokens that is not a whole number in range. */
export class TokenAmountInvalidError extends ConcurrencyError {
  readonly code = 'TOKEN_AMOUNT_INVALID';
}

/** The store of the token budgets failed or did not answer in time. */
export class TokenBudgetStoreError extends ConcurrencyError {
  readonly code = 'BUDGET_STORE_FAILED';

  constructor(cause: unknown) {
    super('The token budget could not be checked: its store failed or did not answer in time.', { cause });
  }
}

/** A resource was registered with a scope that is already closed; it was cleaned up at once. */
export class ResourceScopeClosedError extends ConcurrencyError {
  readonly code = 'RESOURCE_SCOPE_CLOSED';

  constructor() {
    super('The resource scope is closed; the resource was released at once.');
  }
}

/** One or more clean-ups of a resource scope failed; every one of them was run. */
export class ResourceCleanupError extends AggregateError {
  readonly code = 'RESOURCE_CLEANUP_FAILED';
  override readonly name = 'ResourceCleanupError';

  constructor(errors: readonly unknown[]) {
    super([...errors], `${errors.length} failure(s) while releasing resources.`);
  }
}

/** A store call that did not answer within its budget; always the `cause` of another error. */
export class StoreTimeoutError extends ConcurrencyError {
  readonly code = 'STORE_TIMEOUT';

  constructor(readonly budgetMs: number) {
    super(`The store did not answer within ${budgetMs} ms.`);
  }
}

/** A script answered in a shape that its descriptor does not know; always the `cause` of another error. */
export class ScriptReplyError extends ConcurrencyError {
  readonly code = 'SCRIPT_REPLY_INVALID';

  constructor(readonly script: string) {
    super(`The script "${script}" answered in an unexpected shape.`);
  }
}
