import type { Clock } from '@sparkle/contracts';

/** One caller waiting for another process to finish a load. */
export interface WakeUp {
  /** Resolves when woken, at once if that has happened already, at the latest after `deadlineMs`. */
  within(deadlineMs: number): Promise<void>;
  cancel(): void;
}

/** Those in this process who wait for loads of other processes, by entry. */
export class WakeUps {
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly clock: Clock) {}

  /** Registers before the wait begins, so that a message in between is not missed. */
  register(id: string): WakeUp {
    let wake: () => void = () => undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const group = this.waiting.get(id) ?? new Set();
    group.add(wake);
    this.waiting.set(id, group);
    const cancel = () => {
      group.delete(wake);
      if (group.size === 0 && this.waiting.get(id) === group) this.waiting.delete(id);
    };
    return {
      cancel,
      within: async (deadlineMs) => {
        const timer = this.clock.schedule(deadlineMs, wake);
        await woken;
        timer.cancel();
        cancel();
      },
    };
  }

  wake(id: string): void {
    for (const wake of this.waiting.get(id) ?? []) wake();
  }
}
