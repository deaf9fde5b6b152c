import type { CachedValue } from './cached-value.js';

/** One load in progress, shared by all who ask for its key meanwhile. Every flight settles exactly once. */
export class Flight {
  private readonly starter = new Deferred<CachedValue>();
  private readonly joiners = new Deferred<CachedValue>();

  /**
   * @param tags tags the value will carry; `undefined` when only the value itself tells
   * @param trust generation of the bus link when the load began: in a later one, an invalidation of it may have
   *   been missed, and newcomers do not join
   */
  constructor(
    private readonly tags: readonly string[] | undefined,
    readonly trust: number,
  ) {}

  /** The answer for the caller who caused the load. */
  get forStarter(): Promise<CachedValue> {
    return this.starter.promise;
  }

  /** The answer for everyone else: the stale value as soon as there is one, otherwise the result. */
  get forJoiners(): Promise<CachedValue> {
    return this.joiners.promise;
  }

  /** Whether the value may turn out to carry one of `tags`. */
  mayCarry(tags: readonly string[]): boolean {
    return this.tags === undefined || this.tags.some((tag) => tags.includes(tag));
  }

  offerStale(value: CachedValue, alsoToStarter: boolean): void {
    this.joiners.resolve(value);
    if (alsoToStarter) this.starter.resolve(value);
  }

  land(value: CachedValue): void {
    this.joiners.resolve(value);
    this.starter.resolve(value);
  }

  crash(error: unknown): void {
    this.joiners.reject(error);
    this.starter.reject(error);
  }
}

class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise: Promise<T>;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A background refresh may have nobody waiting for it.
    this.promise.catch(() => undefined);
  }
}
