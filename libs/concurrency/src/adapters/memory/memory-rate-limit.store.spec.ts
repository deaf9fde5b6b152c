import { TestClock } from '@sparkle/contracts/testing';
import { rateLimitStoreContract } from '../../testing/rate-limit-store.contract.js';
import { MemoryRateLimitStore } from './memory-rate-limit.store.js';

rateLimitStoreContract('memory', async () => ({
  store: new MemoryRateLimitStore(new TestClock()),
  close: async () => {},
}));
