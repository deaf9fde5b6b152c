import { LoadAbandonedError } from '../errors.js';

/**
 * Who still waits for work that several share. When the last of them leaves before it is done, the work is told to
 * stop: {@link signal} aborts.
 */
export class Interest {
  private waiting = 0;
  private readonly controller = new AbortController();

  /** @param onAbandoned called once, as the last one leaves. */
  constructor(private readonly onAbandoned: () => void) {}

  /** Aborts with a {@link LoadAbandonedError}. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /**
   * Waits for `result`, at most until `leave` aborts.
   * @throws what `result` rejects with, or the reason of `leave` at once.
   */
  async share<T>(result: Promise<T>, leave?: AbortSignal): Promise<T> {
    // Handled here: nobody may be left to see how it ends.
    result.catch(() => undefined);
    leave?.throwIfAborted();
    this.waiting += 1;
    let onLeave: () => void = () => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        onLeave = () => {
          this.leave();
          reject(leave?.reason);
        };
        leave?.addEventListener('abort', onLeave, { once: true });
        result.then(resolve, reject);
      });
    } finally {
      leave?.removeEventListener('abort', onLeave);
    }
  }

  private leave(): void {
    this.waiting -= 1;
    if (this.waiting > 0 || this.controller.signal.aborted) return;
    this.onAbandoned();
    this.controller.abort(new LoadAbandonedError());
  }
}
