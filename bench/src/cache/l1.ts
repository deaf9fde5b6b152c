import { CacheService, MemoryCacheStore, MemoryInvalidationBus } from '@sparkle/cache';
import { parseTenantId } from '@sparkle/contracts';
import { interleaved, median, perSecond } from '../interleaved.js';
import { OURS, type Report } from '../report.js';

const ENTRIES = 1_000;
const CALLS = 200_000;
const ROUNDS = 9;

export interface Course {
  readonly id: string;
  readonly title: string;
  readonly hours: number;
}

/** Makes the value of a key. Given to the cache with each call, and hardly ever called: hits are measured. */
export type LoadCourse = (key: string) => Course;

/** An opened in-process cache. Each call is measured as `await cache.call(…)`. */
export interface InProcessCache {
  get(key: string): unknown;
  getOrSet(key: string, load: LoadCourse): unknown;
  /** Names two tags in a new array with each call: `[key, 'courses']`. Left out by a system without tags. */
  getOrSetTags2?(key: string, load: LoadCourse): unknown;
  close(): unknown;
}

/** A system to measure. It keeps everything in memory; 1,000 entries fit, and values outlive the run. */
export interface InProcessSystem {
  /** Its name in the report: a peer's package name. */
  readonly system: string;
  open(): Promise<InProcessCache>;
}

const METRICS = {
  l1_get: 'get',
  l1_get_or_set: 'getOrSet',
  l1_get_or_set_tags2: 'getOrSetTags2',
} as const;
type Operation = (typeof METRICS)[keyof typeof METRICS];
type Loop = (
  cache: object,
  keys: readonly string[],
  load: LoadCourse | undefined,
  count: number,
) => Promise<void>;

const TTL_MS = 3_600_000;
const keys = Array.from({ length: ENTRIES }, (_, index) => `course:${index}`);
const courseOf: LoadCourse = (key) => ({ id: key, title: `Course ${key}`, hours: 12 });

/** Ours, with a tier of so many entries. */
function sparkle(system: string, maxEntries: number): InProcessSystem {
  return {
    system,
    open: async () => {
      const service = new CacheService(
        { store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() },
        { l1: { ttlMs: TTL_MS, maxEntries }, policy: { ttlMs: TTL_MS } },
      );
      const cache = service.namespace({ tenantId: parseTenantId('bench'), namespace: 'courses' });
      return {
        get: (key) => cache.get(key),
        getOrSet: (key, load) => cache.getOrSet(key, () => load(key)),
        getOrSetTags2: (key, load) => cache.getOrSet(key, () => load(key), { tags: [key, 'courses'] }),
        close: () => service.close(),
      };
    },
  };
}

/**
 * A loop of its own for each case: compiled anew, so that no system pays for what another one made of the shared
 * code, and the map has no head start.
 */
function freshLoop(operation: Operation): Loop {
  return new Function(`return async (cache, keys, load, count) => {
    for (let index = 0; index < count; index += 1)
      await cache.${operation}(keys[index % ${ENTRIES}], load);
  };`)() as Loop;
}

/**
 * Hits in process, one call after the other, over 1,000 entries in turn, against an awaited `Map.get` of the same
 * keys: `l1_get`, `l1_get_or_set` and `l1_get_or_set_tags2`. In `sparkle (full)` as many entries are held as fit,
 * so every hit is recorded for what to evict; below half of its bounds the tier records none.
 */
export async function measureL1(report: Report, peers: readonly InProcessSystem[] = []): Promise<void> {
  const systems = [sparkle(OURS, 50_000), sparkle(`${OURS} (full)`, ENTRIES), ...peers];
  let loads = 0;
  const load: LoadCourse = (key) => {
    loads += 1;
    return courseOf(key);
  };
  const measured = (cache: object, operation: Operation) => {
    const loop = freshLoop(operation);
    return perSecond(CALLS, (count) => loop(cache, keys, operation === 'get' ? undefined : load, count));
  };

  const cases = { map_get: measured(new Map(keys.map((key) => [key, courseOf(key)])), 'get') };
  const opened: InProcessCache[] = [];
  for (const { system, open } of systems)
    for (const [metric, operation] of Object.entries(METRICS)) {
      const cache = await open();
      opened.push(cache);
      if (!cache[operation]) continue;
      for (const key of keys) await cache[operation === 'get' ? 'getOrSet' : operation]?.(key, courseOf);
      Object.assign(cases, { [`${metric}@${system}`]: measured(cache, operation) });
    }
  const figures: Record<string, number[]> = await interleaved(cases, { rounds: ROUNDS, warmup: 2 });
  await Promise.all(opened.map((cache) => cache.close()));
  // Early refreshes reload a few entries; more would mean that something else than hits was measured.
  if (loads > CALLS / 100) throw new Error(`${loads} calls were no hits`);

  report.add('map_get', median(figures.map_get!), 'calls/s', { system: 'Map' });
  for (const { system } of systems)
    for (const metric of Object.keys(METRICS)) {
      const rates = figures[`${metric}@${system}`];
      if (rates) report.add(metric, median(rates), 'calls/s', { system, baseline: 'map_get' });
      else report.note(`${system} takes no tags with its getOrSet: no ${metric}`);
    }
}
