import { CacheService, MemoryCacheStore, MemoryInvalidationBus } from '@sparkle/cache';
import { parseTenantId } from '@sparkle/contracts';
import { type Case, interleaved, median, perSecond } from './interleaved.js';
import { Report } from './report.js';

const KEYS = 1_000;
const CALLS = 200_000;
const ROUNDS = 11;

const keys = Array.from({ length: KEYS }, (_, index) => `course:${index}`);
const courseOf = (key: string) => ({ id: key, title: `Course ${key}`, hours: 12 });
const keyAt = (index: number) => keys[index % KEYS]!;

const map = new Map(keys.map((key) => [key, courseOf(key)]));
const cache = new CacheService({ store: new MemoryCacheStore(), bus: new MemoryInvalidationBus() });
const tenantId = parseTenantId('bench');
const plain = cache.namespace({ tenantId, namespace: 'plain' });
const tagged = cache.namespace({ tenantId, namespace: 'tagged' });

let loads = 0;
const load = ({ key }: { key: string }) => {
  loads += 1;
  return courseOf(key);
};
const tags = (key: string) => ({ tags: [key, 'courses'] });

/** Every entry in memory, fresh for longer than a round takes. */
async function fill(): Promise<void> {
  for (const key of keys) {
    await plain.set(key, courseOf(key));
    await tagged.set(key, courseOf(key), tags(key));
  }
}

const mapGet = perSecond(CALLS, async (count) => {
  for (let index = 0; index < count; index += 1) await map.get(keyAt(index));
});
const get = perSecond(CALLS, async (count) => {
  for (let index = 0; index < count; index += 1) await plain.get(keyAt(index));
});
const getOrSet = perSecond(CALLS, async (count) => {
  for (let index = 0; index < count; index += 1) await plain.getOrSet(keyAt(index), load);
});
const getOrSetTags2 = perSecond(CALLS, async (count) => {
  for (let index = 0; index < count; index += 1) {
    const key = keyAt(index);
    await tagged.getOrSet(key, load, tags(key));
  }
});

const refilled = (measure: Case) => async () => {
  await fill();
  return measure();
};
const figures = await interleaved(
  {
    map_get: mapGet,
    l1_get: refilled(get),
    l1_get_or_set: refilled(getOrSet),
    l1_get_or_set_tags2: refilled(getOrSetTags2),
  },
  { rounds: ROUNDS },
);
cache.close();
// Early refreshes reload a few entries; more would mean that something else than hits was measured.
const calls = 2 * (ROUNDS + 1) * CALLS;
if (loads > calls / 1000) throw new Error(`${loads} of ${calls} calls were no hits`);

const report = new Report('cache');
report.add('map_get', median(figures.map_get), 'calls/s');
for (const metric of ['l1_get', 'l1_get_or_set', 'l1_get_or_set_tags2'] as const)
  report.add(metric, median(figures[metric]), 'calls/s', { baseline: 'map_get' });
process.stdout.write(report.render(process.argv));
