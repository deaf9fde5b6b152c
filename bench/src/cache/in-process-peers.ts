import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache } from 'cache-manager';
import { Cacheable } from 'cacheable';
import { LRUCache } from 'lru-cache';
import type { Course, InProcessSystem, LoadCourse } from './l1.js';

const TTL_MS = 3_600_000;
const ENTRIES = 50_000;

const bentocache: InProcessSystem = {
  system: 'bentocache',
  open: async () => {
    // Without serialising: values are shared, as ours are.
    const memory = memoryDriver({ maxItems: ENTRIES, serialize: false });
    const cache = new BentoCache({
      default: 'main',
      ttl: TTL_MS,
      stores: { main: bentostore().useL1Layer(memory) },
    });
    return {
      get: (key) => cache.get({ key }),
      getOrSet: (key, load) => cache.getOrSet({ key, factory: () => load(key) }),
      getOrSetTags2: (key, load) => cache.getOrSet({ key, factory: () => load(key), tags: [key, 'courses'] }),
      close: () => cache.disconnectAll(),
    };
  },
};

const cacheable: InProcessSystem = {
  system: 'cacheable',
  open: async () => {
    const cache = new Cacheable({ ttl: TTL_MS });
    return {
      get: (key) => cache.get(key),
      getOrSet: (key, load) => cache.getOrSet(key, async () => load(key)),
      close: () => cache.disconnect(),
    };
  },
};

const cacheManager: InProcessSystem = {
  system: 'cache-manager',
  open: async () => {
    const cache = createCache({ ttl: TTL_MS });
    return {
      get: (key) => cache.get(key),
      getOrSet: (key, load) => cache.wrap(key, () => load(key)),
      close: () => cache.disconnect(),
    };
  },
};

const lruCache: InProcessSystem = {
  system: 'lru-cache',
  open: async () => {
    const cache = new LRUCache<string, Course, LoadCourse>({
      max: ENTRIES,
      ttl: TTL_MS,
      fetchMethod: async (key, _stale, { context }) => context(key),
    });
    return {
      get: (key) => cache.get(key),
      getOrSet: (key, load) => cache.fetch(key, { context: load }),
      close: () => cache.clear(),
    };
  },
};

/** Caches of one process, as their documentation opens them. */
export const IN_PROCESS_PEERS: readonly InProcessSystem[] = [bentocache, cacheable, cacheManager, lruCache];
