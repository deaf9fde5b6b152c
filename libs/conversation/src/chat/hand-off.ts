/**
 * Hands values from a producer that does not wait to a consumer that does. `merge` joins a value to the one
 * waiting before it, which bounds the queue for a consumer that is slow.
 */
export class HandOff<Value> {
  private readonly waiting: Value[] = [];
  private sleepers: (() => void)[] = [];
  private closed = false;
  private ended: { readonly error?: unknown } | undefined;

  constructor(private readonly merge: (earlier: Value, later: Value) => Value | undefined) {}

  push(value: Value): void {
    if (this.closed) return;
    const earlier = this.waiting.at(-1);
    const merged = earlier === undefined ? undefined : this.merge(earlier, value);
    if (merged === undefined) this.waiting.push(value);
    else this.waiting[this.waiting.length - 1] = merged;
    this.wake();
  }

  /** Ends the values; `error` reaches the consumer once, after those that are waiting. */
  end(failure: { readonly error?: unknown } = {}): void {
    this.ended ??= failure;
    this.wake();
  }

  /** Ends the values at once; those that are waiting, and any error, are dropped. */
  close(): void {
    this.waiting.length = 0;
    this.ended = {};
    this.closed = true;
    this.wake();
  }

  async next(): Promise<IteratorResult<Value, undefined>> {
    for (;;) {
      if (this.waiting.length > 0) return { done: false, value: this.waiting.shift()! };
      if (this.ended) {
        const { error } = this.ended;
        this.ended = {};
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => this.sleepers.push(resolve));
    }
  }

  private wake(): void {
    const sleepers = this.sleepers;
    this.sleepers = [];
    for (const resolve of sleepers) resolve();
  }
}
