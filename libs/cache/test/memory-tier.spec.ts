import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { LRUCache } from 'lru-cache';
import { describe, expect, it, vi } from 'vitest';
import { CachedValue } from '../src/core/cached-value.js';
import { MemoryTier, type MemoryTierOptions, type ScopeState } from '../src/core/memory-tier.js';
import { jsonCodec } from '../src/core/value-codec.js';
import { scan, shiftingHotSet, uniform, zipf } from './request-traces.js';

const UNBOUNDED = 1e12;

function tierOf(options: Partial<MemoryTierOptions> = {}) {
  const clock = new TestClock();
  const onEvicted = vi.fn();
  const tier = new MemoryTier(
    { maxEntries: 1_000, maxBytes: UNBOUNDED, maxScopes: 100, ...options },
    clock,
    new SeededRandom(7),
    onEvicted,
  );
  const scope = (tenant: string, namespace = 'n') =>
    tier.scope({ tenantId: parseTenantId(tenant), namespace });
  const put = (to: ScopeState, key: string, { tags = [] as string[], size = 1, lifeMs = 1e9 } = {}) => {
    const goneAt = clock.monotonic() + lifeMs;
    tier.put(to, key, {
      value: CachedValue.decode(JSON.stringify('x'.repeat(size)), false, false, jsonCodec),
      sequence: 1,
      loadMs: 0,
      trust: 1,
      tags,
      confirmedUntil: goneAt,
      freshUntil: goneAt,
      earlyFrom: goneAt,
      goneAt,
    });
  };
  /** One read-through request; whether it was a hit. */
  const request = (of: ScopeState, key: string): boolean => {
    if (tier.lookup(of, key, clock.monotonic())) return true;
    put(of, key);
    return false;
  };
  const has = (of: ScopeState, key: string) => tier.lookup(of, key, clock.monotonic(), true) !== undefined;
  return { clock, tier, onEvicted, scope, put, request, has };
}

const hitRate = (requests: Iterable<boolean>) => {
  const outcomes = [...requests];
  return (100 * outcomes.filter(Boolean).length) / outcomes.length;
};

describe('fair shares', () => {
  const scanned = 10 * 1_000;

  it.each([
    ['that needs its fair share', uniform(500, 50_000, 1)],
    ['with few popular keys out of many', zipf(1.2, 5_000, 50_000, 1)],
    ['that needs little', uniform(50, 50_000, 1)],
  ])('one tenant scanning 10 × the cache lowers the hit rate of another %s by at most 5 points', (_, own) => {
    const alone = tierOf();
    const quiet = hitRate(own.map((key) => alone.request(alone.scope('acme'), key)));

    const { scope, request } = tierOf();
    const [acme, noisy] = [scope('acme'), scope('noisy')];
    const beside = own.map((key, index) => {
      request(noisy, `scan${index % scanned}`);
      return request(acme, key);
    });
    expect(hitRate(beside)).toBeGreaterThan(quiet - 5);
  });

  it('one tenant beside a scan hits as much as it would alone in its fair share', () => {
    const own = zipf(0.9, 5_000, 50_000, 1);
    const half = tierOf({ maxEntries: 500 });
    const alone = hitRate(own.map((key) => half.request(half.scope('acme'), key)));
    const { scope, request } = tierOf();
    const [acme, noisy] = [scope('acme'), scope('noisy')];
    const beside = own.map((key, index) => {
      request(noisy, `scan${index % scanned}`);
      return request(acme, key);
    });
    expect(hitRate(beside)).toBeGreaterThan(alone - 1);
  });

  it('a scan does not even take room that others only borrow', () => {
    const { scope, request } = tierOf();
    const [acme, noisy] = [scope('acme'), scope('noisy')];
    for (const key of uniform(950, 20_000, 1)) request(acme, key);
    const own = uniform(950, scanned, 2);
    const beside = own.map((key, index) => {
      request(noisy, `scan${index}`);
      return request(acme, key);
    });
    expect(hitRate(beside)).toBeGreaterThan(95);
  });

  it('a tenant that has use for its share gets it from one that has all, however few its requests', () => {
    const { scope, request } = tierOf();
    const [big, small] = [scope('big'), scope('small')];
    for (const key of uniform(2_000, 50_000, 1)) request(big, key);
    const own = uniform(450, 10_000, 2);
    const others = uniform(2_000, 100_000, 3);
    const outcomes = own.map((key, index) => {
      for (const other of others.slice(10 * index, 10 * index + 10)) request(big, other);
      return request(small, key);
    });
    expect(hitRate(outcomes.slice(5_000))).toBeGreaterThan(95);
  });

  it('a tenant within its fair share loses nothing to others', () => {
    const { scope, put, has } = tierOf();
    const [calm, ...others] = ['calm', 'b', 'c', 'd'].map((name) => scope(name));
    const own = Array.from({ length: 250 }, (_, index) => `own${index}`);
    for (const key of own) put(calm!, key);
    for (const key of scan(3_000, 30_000)) for (const other of others) put(other, key);
    expect(own.filter((key) => has(calm!, key))).toEqual(own);
  });
});

describe('admission', () => {
  const lruHitRate = (keys: readonly string[]) => {
    const lru = new LRUCache<string, true>({ max: 1_000 });
    return hitRate(
      keys.map((key) => {
        if (lru.get(key)) return true;
        lru.set(key, true);
        return false;
      }),
    );
  };
  const ownHitRate = (keys: readonly string[]) => {
    const { scope, request } = tierOf();
    return hitRate(keys.map((key) => request(scope('acme'), key)));
  };
  const popular = zipf(0.9, 10_000, 100_000, 1);

  it('on popular keys mixed with a scan hits at least 5 points more than plain LRU', () => {
    const mixed = popular.flatMap((key, index) => [key, `scan${index}`]);
    expect(ownHitRate(mixed)).toBeGreaterThan(lruHitRate(mixed) + 5);
    const inBursts = popular.flatMap((key, index) =>
      index % 5_000 === 0 ? [key, ...Array.from({ length: 2_000 }, (_, at) => `scan${index + at}`)] : [key],
    );
    expect(ownHitRate(inBursts)).toBeGreaterThan(lruHitRate(inBursts) + 5);
  });

  it('on popular keys alone hits at least as much as plain LRU', () => {
    expect(ownHitRate(popular)).toBeGreaterThan(lruHitRate(popular));
  });

  it('on a hot set that moves hits at most 1 point less than plain LRU', () => {
    const moving = shiftingHotSet(800, 2_000, 100_000, 3);
    expect(ownHitRate(moving)).toBeGreaterThan(lruHitRate(moving) - 1);
  });

  it('on popularity that turns over hits at most 1 point less than plain LRU', () => {
    const turning = popular.map((key, index) => `${Math.floor(index / 10_000)} ${key}`);
    expect(ownHitRate(turning)).toBeGreaterThan(lruHitRate(turning) - 1);
  });

  it('goes back to choosing by popularity when a hot set stops moving', () => {
    const moving = shiftingHotSet(800, 2_000, 50_000, 3);
    const { scope, request } = tierOf();
    for (const key of moving) request(scope('acme'), key);
    const after = popular.map((key) => request(scope('acme'), key)).slice(50_000);
    const best = ownHitRate(popular);
    expect(hitRate(after)).toBeGreaterThan(best - 2);
  });

  it('keeps many small entries rather than a large one that is not asked for more than all of them', () => {
    const { scope, put, request, has } = tierOf({ maxBytes: 100_000 });
    const acme = scope('acme');
    const small = Array.from({ length: 150 }, (_, index) => `small${index}`);
    for (let round = 0; round < 4; round++) for (const key of small) request(acme, key);
    for (let round = 0; round < 3; round++) put(acme, `large${round}`, { size: 30_000 });
    expect(small.filter((key) => has(acme, key)).length).toBeGreaterThan(140);
  });

  it('makes the same choices for the same seed', () => {
    const choices = () => {
      const { scope, request } = tierOf({ maxEntries: 200 });
      return popular.slice(0, 20_000).map((key) => request(scope('acme'), key));
    };
    expect(choices()).toEqual(choices());
  });

  it('evicts expired and invalidated entries before living ones', async () => {
    const { clock, tier, scope, put, request, has } = tierOf({ maxEntries: 100 });
    const acme = scope('acme');
    for (let index = 0; index < 50; index++)
      put(acme, `dead${index}`, index % 2 ? { lifeMs: 10 } : { tags: ['t'] });
    const living = Array.from({ length: 50 }, (_, index) => `living${index}`);
    for (const key of living) put(acme, key);
    await clock.advance(10);
    tier.invalidateTags(acme, ['t']);
    for (let index = 0; index < 49; index++) request(acme, `new${index}`);
    expect(living.filter((key) => has(acme, key))).toEqual(living);
  });
});

describe('invalidation', () => {
  it('of a scope is immediate, and what is left of it is removed bit by bit', () => {
    const { tier, scope, put, has } = tierOf({ maxEntries: 10_000 });
    const [acme, other] = [scope('acme'), scope('acme', 'other')];
    for (let index = 0; index < 5_000; index++) put(acme, `k${index}`, { tags: ['t'] });
    put(other, 'k');
    tier.clear(acme.tenantId, 'n');
    expect(has(acme, 'k1')).toBe(false);
    expect(tier.entries).toBe(4_001);
    put(acme, 'k1', { tags: ['t'] });
    for (let index = 0; index < 300; index++) put(acme, 'k1', { tags: ['t'] });
    expect(tier.entries).toBe(2);
    expect(has(acme, 'k1')).toBe(true);
    expect(has(other, 'k')).toBe(true);
    tier.clear(acme.tenantId);
    expect(tier.entries).toBe(0);
    expect(tier.bytes).toBe(0);
    expect(acme.tags.size).toBe(0);
  });

  it('makes room at once: what was cleared leaves before anything that lives', () => {
    const { tier, scope, put, has, onEvicted } = tierOf({ maxEntries: 3_000 });
    const [cleared, living] = [scope('acme'), scope('beta')];
    for (let index = 0; index < 2_500; index++) put(cleared, `k${index}`);
    for (let index = 0; index < 500; index++) put(living, `k${index}`);
    tier.clear(cleared.tenantId);
    for (let index = 500; index < 2_500; index++) put(living, `k${index}`);
    expect(Array.from({ length: 2_500 }, (_, index) => has(living, `k${index}`))).not.toContain(false);
    expect(onEvicted).not.toHaveBeenCalled();
  });

  it('does not depend on whether an entry was let in', () => {
    const { tier, scope, put } = tierOf({ maxEntries: 10, maxBytes: 10_000 });
    const acme = scope('acme');
    const watch = tier.watch(acme);
    put(acme, 'too large', { size: 20_000, tags: ['t'] });
    expect(tier.entries).toBe(0);
    expect(acme.tags.size).toBe(0);
    tier.invalidateTags(acme, ['t']);
    tier.invalidateKeys(acme, ['k']);
    expect(watch.allows('other', ['t'])).toBe(false);
    expect(watch.allows('k', [])).toBe(false);
    expect(watch.allows('other', ['u'])).toBe(true);
  });
});

describe('scopes', () => {
  it('are bounded; those in use stay', () => {
    const { tier, scope, put, has } = tierOf({ maxScopes: 10 });
    const hot = scope('hot');
    put(hot, 'k');
    for (let index = 0; index < 100; index++) {
      put(scope(`t${index}`), 'k');
      hot.usedIn = tier.epoch;
    }
    expect(hot.retired).toBe(false);
    expect(has(hot, 'k')).toBe(true);
    expect(tier.entries).toBe(10);
  });
});
