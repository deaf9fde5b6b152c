import { type Clock, SystemClock } from '@sparkle/contracts';
import { ResourceCleanupError, ResourceCleanupTimeoutError, ResourceScopeClosedError } from '../errors.js';

type Cleanup = () => unknown;

export interface ResourceScopeSettings {
  /**
   * Closes the scope as soon as it aborts. Failures of the clean-ups are kept for whoever calls
   * {@link ResourceScope.close}.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long one clean-up is waited for, milliseconds; then the next one runs, and the late one is reported.
   * Default: without bound, because the resources released next may still be in use.
   */
  readonly cleanupTimeoutMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/**
 * Resources that live and end together. They are released in reverse order of registration, one after the
 * other, all of them even when some fail. Works with `await using`.
 *
 * ```ts
 * await using scope = new ResourceScope();
 * const file = scope.add(await open(path), (file) => file.close());
 * ```
 */
export class ResourceScope implements AsyncDisposable {
  private readonly cleanups: Cleanup[] = [];
  private readonly signal: AbortSignal | undefined;
  private readonly cleanupTimeoutMs: number | undefined;
  private readonly clock: Clock;
  private closing: Promise<void> | undefined;

  constructor({ signal, cleanupTimeoutMs, clock = new SystemClock() }: ResourceScopeSettings = {}) {
    this.signal = signal;
    this.cleanupTimeoutMs = cleanupTimeoutMs;
    this.clock = clock;
    if (signal?.aborted) this.onAbort();
    else signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /**
   * Runs `work` with a scope and closes it whatever happens. With a `signal` that aborts, the resources are
   * released under the work's hands, which fails by that, or takes note of the signal itself. When the work fails, so does the result, with the
   * work's own error if every clean-up went well, and otherwise with a {@link ResourceCleanupError} that holds
   * the work's error first and the clean-ups' after it.
   */
  static async run<T>(
    work: (scope: ResourceScope) => T | PromiseLike<T>,
    settings?: ResourceScopeSettings,
  ): Promise<T> {
    const scope = new ResourceScope(settings);
    let result: T;
    try {
      result = await work(scope);
    } catch (error) {
      try {
        await scope.close();
      } catch (failure) {
        throw new ResourceCleanupError([error, ...(failure as ResourceCleanupError).errors]);
      }
      throw error;
    }
    await scope.close();
    return result;
  }

  get closed(): boolean {
    return this.closing !== undefined;
  }

  /**
   * Registers a resource and returns it.
   * @throws ResourceScopeClosedError when the scope is closed. The clean-up is started at once, and its
   * own failure is not reported.
   */
  add<Resource>(resource: Resource, cleanup: (resource: Resource) => unknown): Resource {
    this.defer(() => cleanup(resource));
    return resource;
  }

  /** Registers something that disposes of itself, e.g. a permit. Like {@link add} otherwise. */
  use<Resource extends AsyncDisposable | Disposable>(resource: Resource): Resource {
    return this.add(resource, (held) =>
      Symbol.asyncDispose in held ? held[Symbol.asyncDispose]() : held[Symbol.dispose](),
    );
  }

  /** Registers a clean-up alone. Like {@link add} otherwise. */
  defer(cleanup: Cleanup): void {
    if (!this.closed) {
      this.cleanups.push(cleanup);
      return;
    }
    void this.attempt(cleanup);
    throw new ResourceScopeClosedError();
  }

  /**
   * Releases everything, once however often it is called.
   * @throws ResourceCleanupError an AggregateError of every clean-up that failed, in the order they ran.
   */
  close(): Promise<void> {
    this.closing ??= this.release();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private readonly onAbort = (): void => {
    this.close().catch(() => undefined);
  };

  private async release(): Promise<void> {
    this.signal?.removeEventListener('abort', this.onAbort);
    const errors: unknown[] = [];
    for (let cleanup = this.cleanups.pop(); cleanup; cleanup = this.cleanups.pop()) {
      const failure = await this.attempt(cleanup);
      if (failure) errors.push(failure.error);
    }
    if (errors.length > 0) throw new ResourceCleanupError(errors);
  }

  /** Never rejects. */
  private async attempt(cleanup: Cleanup): Promise<{ error: unknown } | undefined> {
    try {
      await this.inTime(Promise.resolve(cleanup()));
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  private inTime(released: Promise<unknown>): Promise<unknown> {
    const { cleanupTimeoutMs } = this;
    if (cleanupTimeoutMs === undefined) return released;
    return new Promise((resolve, reject) => {
      const timer = this.clock.schedule(cleanupTimeoutMs, () =>
        reject(new ResourceCleanupTimeoutError(cleanupTimeoutMs)),
      );
      released.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}
