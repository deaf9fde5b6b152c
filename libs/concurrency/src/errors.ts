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

/** Whoever asked went away before the work could be done. */
export class CallerLeftError extends ConcurrencyError {
  readonly code = 'CALLER_LEFT';

  constructor() {
    super('The caller has left.');
  }
}

/** A route asks for the signal of its permit and has no `@WithPermit`. */
export class PermitMissingError extends ConcurrencyError {
  readonly code = 'PERMIT_MISSING';

  constructor() {
    super('This route uses @PermitSignal and has no @WithPermit.');
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

/** The queue of a scheduler is full, for everyone or for this tenant. The task was not queued. */
export class TaskQueueFullError extends ConcurrencyError {
  readonly code = 'TASK_QUEUE_FULL';

  constructor(
    readonly scheduler: string,
    readonly fullFor: 'all' | 'tenant',
    readonly maxQueued: number,
  ) {
    super(
      fullFor === 'tenant'
        ? `Already ${maxQueued} tasks of this tenant wait in "${scheduler}"; no more are queued.`
        : `Already ${maxQueued} tasks wait in "${scheduler}"; no more are queued.`,
    );
  }
}

/** A waiting task made room for a more urgent one. It was not started. */
export class TaskDroppedError extends ConcurrencyError {
  readonly code = 'TASK_DROPPED';

  constructor(
    readonly scheduler: string,
    readonly priority: string,
  ) {
    super(`A task of priority "${priority}" was dropped from "${scheduler}" in favour of a more urgent one.`);
  }
}

/** A task ran for longer than it may. Its signal was aborted. */
export class TaskTimeoutError extends ConcurrencyError {
  readonly code = 'TASK_TIMEOUT';

  constructor(
    readonly scheduler: string,
    readonly timeoutMs: number,
  ) {
    super(`A task of "${scheduler}" did not end within ${timeoutMs} ms.`);
  }
}

/** The scheduler was closed: it takes no more tasks. */
export class SchedulerClosedError extends ConcurrencyError {
  readonly code = 'SCHEDULER_CLOSED';

  constructor(readonly scheduler: string) {
    super(`The scheduler "${scheduler}" is closed and starts no more tasks.`);
  }
}

/** A scheduler or a task was given settings outside of their range. */
export class SchedulerSettingsInvalidError extends ConcurrencyError {
  readonly code = 'SCHEDULER_SETTINGS_INVALID';
}

/** The options of a batch do not fit their schema. Lists every wrong path, never a value. */
export class BatchOptionsInvalidError extends ConcurrencyError {
  readonly code = 'BATCH_OPTIONS_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The options of the batch are wrong: ${problems.join('; ')}.`);
  }
}

/** An attempt to process one item of a batch took too long. Its signal was aborted. */
export class BatchItemTimeoutError extends ConcurrencyError {
  readonly code = 'BATCH_ITEM_TIMEOUT';

  constructor(
    readonly index: number,
    readonly timeoutMs: number,
  ) {
    super(`Item ${index} of the batch was not done within ${timeoutMs} ms.`);
  }
}

/** Reading the items of a batch failed; the batch ended with what had been read. */
export class BatchSourceError extends ConcurrencyError {
  readonly code = 'BATCH_SOURCE_FAILED';

  /** @param outcomes of the items that had been read; empty from `streamBatch`, which hands them over before */
  constructor(
    cause: unknown,
    readonly outcomes: readonly unknown[],
  ) {
    super('The items of the batch could not be read to the end.', { cause });
  }
}

/** A resource was registered with a scope that is already closed; it was cleaned up at once. */
export class ResourceScopeClosedError extends ConcurrencyError {
  readonly code = 'RESOURCE_SCOPE_CLOSED';

  constructor() {
    super('The resource scope is closed; the resource was released at once.');
  }
}

/** A clean-up of a resource scope did not end in time; it goes on, and the next ones were run. */
export class ResourceCleanupTimeoutError extends ConcurrencyError {
  readonly code = 'RESOURCE_CLEANUP_TIMEOUT';

  constructor(readonly timeoutMs: number) {
    super(`A resource was not released within ${timeoutMs} ms.`);
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

/** The settings of the tenants' threads are out of range. */
export class TenantThreadsSettingsInvalidError extends ConcurrencyError {
  readonly code = 'TENANT_THREADS_SETTINGS_INVALID';
}

/** A task for a tenant's thread that could never be run: its module, its name or its timeout is malformed. */
export class TenantTaskInvalidError extends ConcurrencyError {
  readonly code = 'TENANT_TASK_INVALID';
}

/** A task threw. The `cause` is a copy of what it threw. */
export class TenantTaskFailedError extends ConcurrencyError {
  readonly code = 'TENANT_TASK_FAILED';

  constructor(
    readonly task: string,
    cause: unknown,
  ) {
    super(`The task "${task}" failed in its thread.`, { cause });
  }
}

/** The thread of a task died under it: only this task is lost, and the tenant's next one gets a new thread. */
export class TenantThreadCrashedError extends ConcurrencyError {
  readonly code = 'TENANT_THREAD_CRASHED';

  constructor(
    readonly task: string,
    readonly reason: 'not_started' | 'out_of_memory' | 'uncaught_exception' | 'exit',
    cause: unknown,
  ) {
    super(`The thread of the task "${task}" ended (${reason}) before the task did.`, { cause });
  }
}

/** A task was not done in time. Nothing of it runs any more. */
export class TenantTaskTimeoutError extends ConcurrencyError {
  readonly code = 'TENANT_TASK_TIMEOUT';

  constructor(
    readonly task: string,
    readonly timeoutMs: number,
    /** False: it still waited for a thread. */
    readonly started: boolean,
  ) {
    const state = started ? 'was stopped' : 'did not begin';
    super(`The task "${task}" ${state}: it was not done within ${timeoutMs} ms.`);
  }
}

/** A tenant has as many tasks waiting for its threads as it may. */
export class TenantQueueFullError extends ConcurrencyError {
  readonly code = 'TENANT_QUEUE_FULL';

  constructor(readonly maxQueued: number) {
    super(`Already ${maxQueued} tasks of this tenant wait for a thread; no more are queued.`);
  }
}

/** The tenants' threads of this process were closed. */
export class TenantThreadsClosedError extends ConcurrencyError {
  readonly code = 'TENANT_THREADS_CLOSED';

  constructor() {
    super('This process is shutting down and runs no more tasks.');
  }
}

/** An adaptive limit, a partition or a limiter was given settings outside of their range. */
export class AdaptiveLimitSettingsInvalidError extends ConcurrencyError {
  readonly code = 'ADAPTIVE_LIMIT_SETTINGS_INVALID';
}

/** A request was refused because the service is at its limit and the request's class is shed. Nothing was done. */
export class LoadSheddedError extends ConcurrencyError {
  readonly code = 'LOAD_SHEDDED';
  readonly limiter: string;
  readonly priority: 'high' | 'medium' | 'low';
  /** The limit when it was refused. */
  readonly limit: number;
  /** Milliseconds after which to try again: about as long as a request takes now. */
  readonly retryAfterMs: number;

  constructor(refusal: {
    limiter: string;
    priority: 'high' | 'medium' | 'low';
    limit: number;
    retryAfterMs: number;
  }) {
    super(
      `"${refusal.limiter}" is at its limit of ${refusal.limit} and sheds requests of ${refusal.priority} ` +
        `priority; retry in ${refusal.retryAfterMs} ms.`,
    );
    this.limiter = refusal.limiter;
    this.priority = refusal.priority;
    this.limit = refusal.limit;
    this.retryAfterMs = refusal.retryAfterMs;
  }
}
