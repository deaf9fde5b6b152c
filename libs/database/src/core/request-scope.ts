import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage<RequestScope>();

/**
 * One request or one job, as far as the database is concerned: batched loading, the search for repeated
 * statements and "reads see own writes" last exactly as long as it. Nothing in it is shared with another one.
 */
export class RequestScope {
  private readonly values = new WeakMap<object, unknown>();

  private constructor(
    /** Names the request in warnings, e.g. `GET /documents/:id`. */
    readonly label: string | undefined,
  ) {}

  /** Runs `work` in a scope of its own; one around it does not reach inside. */
  static run<T>(work: () => T, label?: string): T {
    return storage.run(new RequestScope(label), work);
  }

  /** The scope that the running code belongs to, if any. */
  static get current(): RequestScope | undefined {
    return storage.getStore();
  }

  /** What `owner` keeps for this scope, made upon the first call. */
  keep<T>(owner: object, make: () => T): T {
    if (!this.values.has(owner)) this.values.set(owner, make());
    return this.values.get(owner) as T;
  }
}
