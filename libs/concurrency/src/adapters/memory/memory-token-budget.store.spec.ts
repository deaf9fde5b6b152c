import { TestClock } from '@sparkle/contracts/testing';
import { tokenBudgetContract } from '../../testing/token-budget.contract.js';
import { MemoryTokenBudgetStore } from './memory-token-budget.store.js';

tokenBudgetContract('memory', async () => {
  const clock = new TestClock();
  return {
    store: new MemoryTokenBudgetStore(clock),
    elapse: (ms) => clock.advance(ms),
    close: async () => {},
  };
});
