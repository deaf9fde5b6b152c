import { TestClock } from '@sparkle/contracts/testing';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryBusHub, MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { cacheStoreContract } from '../src/testing/cache-store.contract.js';
import { invalidationBusContract } from '../src/testing/invalidation-bus.contract.js';

cacheStoreContract('memory', async () => {
  const clock = new TestClock();
  return { store: new MemoryCacheStore(clock), advance: (ms) => clock.advance(ms) };
});

invalidationBusContract('memory', async () => {
  const hub = new MemoryBusHub();
  const second = new MemoryInvalidationBus(hub);
  return {
    first: new MemoryInvalidationBus(hub),
    second,
    cut: async () => second.setConnected(false),
    mend: async () => second.setConnected(true),
    close: async () => undefined,
  };
});
