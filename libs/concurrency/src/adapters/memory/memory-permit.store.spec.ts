import { TestClock } from '@sparkle/contracts/testing';
import { semaphoreContract } from '../../testing/semaphore.contract.js';
import { MemoryPermitStore } from './memory-permit.store.js';

semaphoreContract('memory', async () => {
  const clock = new TestClock();
  const store = new MemoryPermitStore(clock);
  return { clock, openStore: async () => store, close: async () => {} };
});
