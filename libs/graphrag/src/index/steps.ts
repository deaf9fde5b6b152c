import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, SystemClock } from '@sparkle/contracts';

/** Work that pauses wherever it yields, a fraction of a millisecond's work apart, and returns its result. */
export type Steps<Result> = Generator<void, Result>;

/** Longest time a slice of work keeps the event loop from others. */
const SLICE_MS = 8;

/** Does the work at once. */
export function finished<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Does the work in slices of a few milliseconds, between which the event loop serves others. */
export async function finishedInSlices<Result>(
  steps: Steps<Result>,
  clock: Pick<Clock, 'monotonic'> = new SystemClock(),
): Promise<Result> {
  for (;;) {
    const until = clock.monotonic() + SLICE_MS;
    do {
      const { done, value } = steps.next();
      if (done) return value;
    } while (clock.monotonic() < until);
    await nextTurn();
  }
}
