import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { MemoryCacheStore } from '../src/adapters/memory/memory-cache.store.js';
import { MemoryBusHub, MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import type { CacheCoreOptionsInput } from '../src/cache.options.js';
import { CacheService } from '../src/core/cache.service.js';
import type { CacheScope } from '../src/core/cache-scope.js';
import type { CacheStore } from '../src/ports/cache-store.port.js';
import { FaultyStore } from '../src/testing/faulty-store.js';

export const acme: CacheScope = { tenantId: parseTenantId('acme'), namespace: 'courses' };

/** Several processes' caches over one store, all in this process and on one test clock. */
export function memoryCluster(
  size: number,
  options: CacheCoreOptionsInput = {},
  wrap: (store: CacheStore) => CacheStore = (store) => store,
) {
  const clock = new TestClock();
  const hub = new MemoryBusHub();
  const shared = new MemoryCacheStore(clock);
  const members = Array.from({ length: size }, (_, index) => {
    const store = new FaultyStore(wrap(shared), clock);
    const bus = new MemoryInvalidationBus(hub);
    const cache = new CacheService(
      { store, bus, clock, random: new SeededRandom(index + 1) },
      { ...options, policy: { jitter: 0, earlyRefreshBeta: 0, ...options.policy } },
    );
    return { cache, store, bus };
  });
  return { clock, members, first: members[0]!, second: members[1] ?? members[0]! };
}

/** A promise settled from outside. */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Lets everything that is ready run. */
export const settle = (clock: TestClock) => clock.advance(0);
