import type { Clock } from '@sparkle/contracts';
import { StoreTimeoutError } from '../errors.js';

/**
 * The call's outcome, or a {@link StoreTimeoutError} after `budgetMs`. The call itself goes on;
 * what it ends in is ignored then.
 */
export function withinBudget<T>(clock: Clock, budgetMs: number, call: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(budgetMs, () => reject(new StoreTimeoutError(budgetMs)));
    call.then(
      (result) => {
        timer.cancel();
        resolve(result);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
