import { Injectable } from '@nestjs/common';

/** The calls that are being answered, so that a shutdown can wait for them and, in the end, cancel them. */
@Injectable()
export class CallsUnderWay {
  private readonly calls = new Set<() => void>();
  private closing = false;
  private empty: () => void = () => {};

  /**
   * Counts a call; the result ends it.
   * @param cancel stops its work.
   * @returns `undefined` once the calls are closed: nothing new is taken.
   */
  enter(cancel: () => void): (() => void) | undefined {
    if (this.closing) return undefined;
    this.calls.add(cancel);
    return () => {
      this.calls.delete(cancel);
      if (this.calls.size === 0) this.empty();
    };
  }

  /** Takes no more calls; resolves when those under way have ended. */
  async close(): Promise<void> {
    this.closing = true;
    if (this.calls.size === 0) return;
    await new Promise<void>((resolve) => {
      this.empty = resolve;
    });
  }

  cancelAll(): void {
    for (const cancel of this.calls) cancel();
  }
}
