import { AsyncLocalStorage } from 'node:async_hooks';
import { type CacheEvent, channels, parseTenantId } from '@sparkle/contracts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CacheKeyInvalidError, CacheOptionsInvalidError, ValueNotSerializableError } from '../src/errors.js';
import { acme, memoryCluster, settle } from './cluster.js';

describe('keys and scopes', () => {
  const awkward = [
    'a b',
    'a:b',
    '{x}',
    '键🔑',
    '\n',
    '\0',
    'r.a',
    'x'.repeat(500),
    '\ud800',
    '\ud801',
    '__proto__',
  ];

  it('keeps any two different keys apart in both tiers', async () => {
    const { first, second } = memoryCluster(2);
    for (const key of awkward) await first.cache.set(acme, key, `value of ${key}`);
    for (const key of awkward) {
      expect(await first.cache.get(acme, key)).toBe(`value of ${key}`);
      expect(await second.cache.get(acme, key)).toBe(`value of ${key}`);
    }
  });

  it('keeps tenants and namespaces apart', async () => {
    const { first } = memoryCluster(1);
    await first.cache.set(acme, 'k', 1);
    expect(await first.cache.get({ ...acme, namespace: 'other' }, 'k')).toBeUndefined();
    expect(await first.cache.get({ ...acme, tenantId: parseTenantId('acme2') }, 'k')).toBeUndefined();
  });

  it('refuses what is not a key, tag, namespace or tenant', () => {
    const { cache } = memoryCluster(1).first;
    expect(() => cache.get(acme, '')).toThrow(CacheKeyInvalidError);
    expect(() => cache.get(acme, 7 as unknown as string)).toThrow(CacheKeyInvalidError);
    expect(() => cache.deleteByTag(acme, [''])).toThrow(CacheKeyInvalidError);
    expect(() => cache.namespace({ ...acme, namespace: 'a:b' })).toThrow(CacheKeyInvalidError);
    expect(() => cache.namespace({ ...acme, tenantId: 'No' as never })).toThrow('tenant name');
    expect(() => cache.namespace({ namespace: 'x' } as never)).toThrow('tenant name');
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['a bigint', 5n],
    ['a Date', new Date(5)],
    ['a Map', new Map([['a', 1]])],
    ['a Buffer', Buffer.from('a')],
    ['a symbol', Symbol('a')],
    ['an object', { toString: () => 'k' }],
    ['an array', ['k']],
  ])('refuses %s as a key, also when its text is one', async (_, key) => {
    const { cache } = memoryCluster(1).first;
    await cache.set(acme, typeof key === 'symbol' ? 'a' : String(key) || 'k', 1);
    const bad = key as string;
    const calls = [
      async () => cache.get(acme, bad),
      async () => cache.peek(acme, bad),
      async () => cache.set(acme, bad, 1),
      async () => cache.getOrSet(acme, bad, () => 1),
      async () => cache.getMany(acme, [bad], () => new Map()),
      async () => cache.delete(acme, [bad]),
      async () => cache.deleteByTag(acme, [bad]),
      async () => cache.set(acme, 'k', 1, { tags: [bad] }),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(CacheKeyInvalidError);
  });

  it('refuses options it does not know or that make no sense, naming all', () => {
    const { cache } = memoryCluster(1).first;
    expect(() => memoryCluster(1, { l1: { maxBytes: -1 }, l2: { budgetMs: 0 } })).toThrow(
      /l1.maxBytes.*l2.budgetMs/s,
    );
    expect(() => cache.namespace(acme, { ttl: 5 } as never)).toThrow('ttl: unknown option');
    expect(() => cache.getOrSet(acme, 'k', () => 1, { ttlMs: -5, hardTimeoutMs: 0 })).toThrow(
      CacheOptionsInvalidError,
    );
  });
});

describe('values', () => {
  it('come back the same from the loader, from memory and from the store', async () => {
    const { first, second } = memoryCluster(2);
    const value = { at: new Date(5), tags: new Set(['x']), none: undefined };
    expect(await first.cache.getOrSet(acme, 'k', () => value)).toEqual(value);
    expect(await first.cache.get(acme, 'k')).toEqual(value);
    expect(await second.cache.get(acme, 'k')).toEqual(value);
  });

  it('cannot be changed by one caller for another', async () => {
    const { cache } = memoryCluster(1).first;
    const loaded = { list: [1] };
    const got = await cache.getOrSet(acme, 'k', () => loaded);
    expect(() => got.list.push(2)).toThrow(TypeError);
    loaded.list.push(3);
    expect(await cache.get(acme, 'k')).toEqual({ list: [1] });
    await cache.set(acme, 'm', new Map([['a', 1]]));
    (await cache.get<Map<string, number>>(acme, 'm'))?.set('a', 2);
    expect(await cache.get(acme, 'm')).toEqual(new Map([['a', 1]]));
  });

  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['−0', -0],
    ['a bigint', 2n ** 70n],
    ['a Date', new Date(5)],
    ['an invalid Date', new Date(Number.NaN)],
    ['a Map', new Map<unknown, unknown>([[{ a: 1 }, new Set([null])]])],
    ['a Buffer', Buffer.from([0, 255])],
    ['the empty string', ''],
    ['a lone surrogate', '\ud800'],
    ['an object with its own $', { $: 'date', v: 1 }],
  ])('%s comes back as it was from the loader, from memory and from the store', async (_, value) => {
    const { first, second } = memoryCluster(2);
    expect(await first.cache.getOrSet(acme, 'k', () => value)).toStrictEqual(value);
    expect(await first.cache.get(acme, 'k')).toStrictEqual(value);
    expect(await first.cache.getOrSet(acme, 'k', () => 'unused' as unknown)).toStrictEqual(value);
    expect(await second.cache.get(acme, 'k')).toStrictEqual(value);
  });

  it.each([
    ['a cycle', cyclic],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['an error', new Error('e')],
    ['a promise in a property', { p: Promise.resolve(1) }],
  ])('%s is refused and nothing is kept', async (_, value) => {
    const { cache } = memoryCluster(1).first;
    await expect(cache.set(acme, 'k', value)).rejects.toThrow(ValueNotSerializableError);
    await expect(cache.getOrSet<unknown>(acme, 'k', () => value)).rejects.toThrow(ValueNotSerializableError);
    expect(await cache.get(acme, 'k')).toBeUndefined();
    expect(cache.memoryUse).toEqual({ entries: 0, bytes: 0 });
  });

  it('reach every caller in its own async context', async () => {
    const { cache } = memoryCluster(1).first;
    await cache.set(acme, 'k', 1);
    const context = new AsyncLocalStorage<string>();
    const seen = await Promise.all(
      ['a', 'b'].map((name) =>
        context.run(name, async () => {
          await cache.get(acme, 'k');
          const awaited = context.getStore();
          return cache.get(acme, 'k').then(() => [awaited, context.getStore()]);
        }),
      ),
    );
    expect(seen).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
  });

  it('are copies with l1.values = copied', async () => {
    const { cache } = memoryCluster(1, { l1: { values: 'copied' } }).first;
    await cache.set(acme, 'k', { n: 1 });
    const got = await cache.get<{ n: number }>(acme, 'k');
    if (got) got.n = 2;
    expect(await cache.get(acme, 'k')).toEqual({ n: 1 });
  });

  it('that cannot be encoded are refused with the place, and the next caller loads again', async () => {
    const { cache } = memoryCluster(1).first;
    const loader = vi.fn(() => ({ f: () => 1 }));
    await expect(cache.getOrSet(acme, 'k', loader)).rejects.toThrow(ValueNotSerializableError);
    await expect(cache.getOrSet(acme, 'k', loader)).rejects.toThrow('$.f');
    expect(loader).toHaveBeenCalledTimes(2);
  });

  it('above the size limit are returned and not kept', async () => {
    const { cache } = memoryCluster(1, { maxValueBytes: 100 }).first;
    expect(await cache.getOrSet(acme, 'k', () => 'x'.repeat(200))).toHaveLength(200);
    expect(await cache.get(acme, 'k')).toBeUndefined();
  });

  it('are bounded in memory by entries and bytes', async () => {
    const { cache } = memoryCluster(1, { l1: { maxEntries: 10, maxBytes: 20_000 } }).first;
    for (let index = 0; index < 50; index++) await cache.set(acme, `k${index}`, 'x'.repeat(3000));
    expect(cache.memoryUse.bytes).toBeLessThanOrEqual(20_000);
    for (let index = 0; index < 50; index++) await cache.set(acme, `s${index}`, 1);
    expect(cache.memoryUse.entries).toBe(10);
  });

  it('live for their TTL, shortened by jitter and never prolonged', async () => {
    const { clock, first } = memoryCluster(1, { policy: { jitter: 0.2 }, l1: { ttlMs: 0 } });
    for (let index = 0; index < 200; index++) await first.cache.set(acme, `k${index}`, 1, { ttlMs: 1000 });
    const alive = async () => {
      const found = await Promise.all(
        Array.from({ length: 200 }, (_, index) => first.cache.get(acme, `k${index}`)),
      );
      return found.filter((value) => value === 1).length;
    };
    await clock.advance(799);
    expect(await alive()).toBe(200);
    await clock.advance(101);
    expect(await alive()).toBeGreaterThan(60);
    expect(await alive()).toBeLessThan(140);
    await clock.advance(100);
    expect(await alive()).toBe(0);
  });
});

describe('negative entries', () => {
  it('keep a missing thing from being loaded again, for their own short time', async () => {
    const { clock, first, second } = memoryCluster(2);
    const loader = vi.fn(() => undefined);
    expect(await first.cache.getOrSet(acme, 'k', loader)).toBeUndefined();
    expect(await first.cache.getOrSet(acme, 'k', loader)).toBeUndefined();
    expect(await second.cache.getOrSet(acme, 'k', loader)).toBeUndefined();
    expect(await first.cache.peek(acme, 'k')).toMatchObject({ state: 'negative', tier: 'l1' });
    expect(loader).toHaveBeenCalledTimes(1);
    await clock.advance(10_000);
    await first.cache.getOrSet(acme, 'k', loader);
    expect(loader).toHaveBeenCalledTimes(2);
  });

  it('keep null null', async () => {
    const { first, second } = memoryCluster(2);
    expect(await first.cache.getOrSet(acme, 'k', () => null)).toBeNull();
    expect(await second.cache.getOrSet(acme, 'k', () => 1 as number | null)).toBeNull();
  });
});

describe('reading', () => {
  it('takes memory first, confirms with the store after the first tier’s TTL, and never calls a loader', async () => {
    const { clock, first } = memoryCluster(1);
    await first.cache.set(acme, 'k', 'v');
    await first.cache.get(acme, 'k');
    expect(first.store.count('read')).toBe(0);
    await clock.advance(60_000);
    expect(await first.cache.get(acme, 'k')).toBe('v');
    expect(first.store.count('read')).toBe(1);
    await clock.advance(240_000);
    expect(await first.cache.get(acme, 'k')).toBeUndefined();
  });

  it('merges the store reads of one tick', async () => {
    const { first, second } = memoryCluster(2);
    for (const key of ['a', 'b', 'c']) await first.cache.set(acme, key, key);
    const values = await Promise.all(['a', 'b', 'c', 'a'].map((key) => second.cache.get(acme, key)));
    expect(values).toEqual(['a', 'b', 'c', 'a']);
    expect(second.store.count('read')).toBe(1);
  });

  it('with peek moves and fills nothing', async () => {
    const { first, second } = memoryCluster(2);
    await first.cache.set(acme, 'k', 'v');
    expect(await second.cache.peek(acme, 'k')).toMatchObject({ value: 'v', tier: 'l2', state: 'fresh' });
    expect(second.cache.memoryUse.entries).toBe(0);
    expect(await second.cache.peek(acme, 'nothing')).toBeUndefined();
  });

  it('of many keys loads what is missing with one call, and leaves out what does not exist', async () => {
    const { first, second } = memoryCluster(2);
    await first.cache.set(acme, 'a', 'cached');
    await second.cache.set(acme, 'b', 'stored');
    const loader = vi.fn(
      async (keys: readonly string[]) =>
        new Map(keys.filter((key) => key !== 'e').map((key) => [key, `loaded ${key}`])),
    );
    const keys = ['a', 'b', 'c', 'd', 'e', 'c'];
    const expected = new Map([
      ['a', 'cached'],
      ['b', 'stored'],
      ['c', 'loaded c'],
      ['d', 'loaded d'],
    ]);
    expect(await first.cache.getMany(acme, keys, loader)).toEqual(expected);
    expect(loader).toHaveBeenCalledTimes(1);
    expect(loader.mock.calls[0]?.[0]).toEqual(['c', 'd', 'e']);
    expect(await second.cache.getMany(acme, keys, loader)).toEqual(expected);
    expect(loader).toHaveBeenCalledTimes(1);
    expect(await first.cache.getMany(acme, [], loader)).toEqual(new Map());
  });

  it('of many keys fails as a whole when the loader throws, calling it once', async () => {
    const { cache } = memoryCluster(1).first;
    const loader = vi.fn(() => {
      throw new Error('down');
    });
    await expect(cache.getMany(acme, ['a', 'b'], loader)).rejects.toThrow('down');
    expect(loader).toHaveBeenCalledTimes(1);
    expect(await cache.getMany(acme, ['a', 'b'], async () => new Map([['a', 1]]))).toEqual(
      new Map([['a', 1]]),
    );
  });
});

describe('invalidation', () => {
  it.each([
    ['delete', (cache: ReturnType<typeof memoryCluster>['first']['cache']) => cache.delete(acme, ['k'])],
    [
      'deleteByTag',
      (cache: ReturnType<typeof memoryCluster>['first']['cache']) => cache.deleteByTag(acme, 'course:1'),
    ],
    ['clear(namespace)', (cache: ReturnType<typeof memoryCluster>['first']['cache']) => cache.clear(acme)],
    [
      'clear(tenant)',
      (cache: ReturnType<typeof memoryCluster>['first']['cache']) => cache.clear({ tenantId: acme.tenantId }),
    ],
  ])('with %s reaches memory and store of every process', async (_, invalidate) => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'k', 'old', { tags: ['course:1', 'user 7'] });
    expect(await second.cache.get(acme, 'k')).toBe('old');
    expect(await invalidate(first.cache)).toBe('applied');
    await settle(clock);
    expect(await first.cache.get(acme, 'k')).toBeUndefined();
    expect(await second.cache.get(acme, 'k')).toBeUndefined();
  });

  it('of a tag leaves other entries in memory', async () => {
    const { cache, store } = memoryCluster(1).first;
    await cache.set(acme, 'a', 1, { tags: ['t'] });
    await cache.set(acme, 'b', 2, { tags: (value) => [`n${value}`] });
    await cache.deleteByTag(acme, 't');
    expect(await cache.get(acme, 'b')).toBe(2);
    expect(store.count('read')).toBe(0);
    expect(await cache.get(acme, 'a')).toBeUndefined();
  });

  it('by a plain set replaces what other processes hold', async () => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'k', 1);
    await second.cache.get(acme, 'k');
    await first.cache.set(acme, 'k', 2);
    await settle(clock);
    expect(await second.cache.get(acme, 'k')).toBe(2);
  });

  it('costs the same however many entries carry the tag', async () => {
    const { cache, store } = memoryCluster(1).first;
    for (let index = 0; index < 500; index++) await cache.set(acme, `k${index}`, index, { tags: ['t'] });
    const before = [...store.calls.values()].reduce((sum, calls) => sum + calls, 0);
    await cache.deleteByTag(acme, 't');
    expect([...store.calls.values()].reduce((sum, calls) => sum + calls, 0)).toBe(before + 1);
  });
});

describe('a lost bus', () => {
  it('makes memory suspect at once: entries are confirmed with the store until they are trusted again', async () => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'k', 'old');
    await first.cache.set(acme, 'other', 'same');
    await second.cache.getMany(acme, ['k', 'other'], async () => new Map());
    second.bus.setConnected(false);
    await first.cache.set(acme, 'k', 'new');
    expect(await second.cache.get(acme, 'k')).toBe('new');
    await first.cache.set(acme, 'k', 'newer');
    second.bus.setConnected(true);
    expect(await second.cache.get(acme, 'k')).toBe('newer');
    const reads = second.store.count('read');
    expect(await second.cache.get(acme, 'other')).toBe('same');
    expect(second.store.count('read')).toBe(reads + 1);
    await settle(clock);
    expect(await second.cache.get(acme, 'other')).toBe('same');
    expect(second.store.count('read')).toBe(reads + 1);
  });
});

describe('events', () => {
  let stop = () => undefined as unknown;
  afterEach(() => stop());

  it('tell of each tier’s outcome with the tenant', async () => {
    const events: CacheEvent[] = [];
    stop = channels.cache.subscribe((event) => events.push(event));
    const { cache } = memoryCluster(1).first;
    await cache.getOrSet(acme, 'k', () => 1);
    await cache.get(acme, 'k');
    await cache.delete(acme, 'k');
    expect(events.map(({ tier, outcome }) => `${tier} ${outcome}`)).toEqual([
      'l1 miss',
      'l2 miss',
      'loader miss',
      'l2 set',
      'l1 hit',
      'l2 invalidated',
    ]);
    expect(events.every(({ tenantId, namespace }) => tenantId === 'acme' && namespace === 'courses')).toBe(
      true,
    );
    expect(events.find(({ outcome }) => outcome === 'set')?.ttlMs).toBe(300_000);
  });
});
