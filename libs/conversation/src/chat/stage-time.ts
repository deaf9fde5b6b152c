import type { Clock } from '@sparkle/contracts';
import { TurnTimeoutError } from '../errors.js';
import type { ActiveTurnState } from './state-machine.js';

export interface StageBounds {
  readonly state: ActiveTurnState;
  readonly budgetMs: number;
  /** Monotonic time at which the whole turn's time is up, and what it was; absent where that does not count. */
  readonly turn?: { readonly deadline: number; readonly totalMs: number };
  /** Ends the stage with its reason; absent for a stage that is carried through. */
  readonly stop?: AbortSignal;
}

/**
 * Runs one stage of a turn until its own time or that of the turn is up, or it is stopped. What ended it is thrown at
 * once, whether or not the stage heeds its signal.
 * @throws TurnTimeoutError, the reason of `stop`, or what the stage throws.
 */
export async function withinStage<T>(
  clock: Clock,
  { state, budgetMs, turn, stop }: StageBounds,
  stage: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  const left = turn ? turn.deadline - clock.monotonic() : Number.POSITIVE_INFINITY;
  const timer = clock.schedule(Math.max(0, Math.min(budgetMs, left)), () =>
    controller.abort(
      turn && left < budgetMs
        ? new TurnTimeoutError(state, turn.totalMs, 'turn')
        : new TurnTimeoutError(state, budgetMs),
    ),
  );
  const onStop = () => controller.abort(stop?.reason);
  if (stop?.aborted) onStop();
  else stop?.addEventListener('abort', onStop, { once: true });
  try {
    signal.throwIfAborted();
    return await new Promise<T>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      stage(signal).then(resolve, reject);
    });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    timer.cancel();
    stop?.removeEventListener('abort', onStop);
  }
}
