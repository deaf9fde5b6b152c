import { parseTenantId } from '@sparkle/contracts';
import { beforeEach, describe, expect, it } from 'vitest';
import type { CacheStore, EntryToWrite, Payload, StoreScope } from '../ports/cache-store.port.js';

export interface CacheStoreHarness {
  readonly store: CacheStore;
  /** Lets this much time pass for the store. */
  advance(ms: number): Promise<void>;
}

/** What every {@link CacheStore} guarantees. `open` is called once per test; keys are unique to each. */
export function cacheStoreContract(name: string, open: () => Promise<CacheStoreHarness>): void {
  describe(`CacheStore contract: ${name}`, () => {
    let harness: CacheStoreHarness;
    let store: CacheStore;
    let scope: StoreScope;
    let count = 0;

    beforeEach(async () => {
      harness = await open();
      store = harness.store;
      const unique = `${process.pid}-${count++}-${performance.timeOrigin.toString(36).replace('.', '')}`;
      scope = { tenantId: parseTenantId(`t-${unique}`), namespace: 'courses' };
    });

    const entry = (payload: Payload, overrides: Partial<EntryToWrite> = {}): EntryToWrite<Payload> => ({
      payload,
      ttlMs: 60_000,
      graceMs: 0,
      loadMs: 7,
      negative: false,
      tags: [],
      ...overrides,
    });
    const request = (overrides = {}) => ({ leaseMs: 5_000, tags: [], since: 0, newerThan: 0, ...overrides });
    const lease = async (key: string, overrides = {}) => {
      const outcome = await store.acquireLease(scope, key, request(overrides));
      if (outcome.kind !== 'leased') throw new Error(`expected a lease, got ${outcome.kind}`);
      return outcome.token;
    };
    const bytes = (size: number) => Buffer.alloc(size, 'n\n1 {\xff');
    const fetched = async (key: string): Promise<Payload | undefined> => {
      const payload = (await store.read(scope, [key])).entries[0]?.payload;
      return typeof payload === 'object' && 'ref' in payload
        ? store.readDetached(scope, key, payload)
        : payload;
    };
    const payloads = async (...keys: string[]) =>
      (await store.read(scope, keys)).entries.map((found) => found?.payload);

    it('returns entries in the order of the keys, with what was written about them', async () => {
      await store.write(
        scope,
        'r.a',
        entry('A\nsecond line {"$":1} 你好', { tags: ['r.t1', 'r.t2'], graceMs: 500 }),
      );
      await store.write(scope, 'r.c', entry('null', { negative: true }));
      const { entries } = await store.read(scope, ['r.a', 'r.b', 'r.c']);
      expect(entries[0]).toMatchObject({
        payload: 'A\nsecond line {"$":1} 你好',
        loadMs: 7,
        negative: false,
        tags: ['r.t1', 'r.t2'],
      });
      expect(entries[0]?.freshMs).toBeGreaterThan(50_000);
      expect(entries[0]?.goneMs).toBeGreaterThan(entries[0]?.freshMs ?? 0);
      expect(entries[1]).toBeUndefined();
      expect(entries[2]?.negative).toBe(true);
    });

    it('returns text as text and bytes as bytes, small and large, with tags and without', async () => {
      for (const tags of [[], ['r.t', 'h.x/y:z']])
        for (const payload of ['', 'a\n1 2 3', '长'.repeat(200_000), bytes(3), bytes(300_000)]) {
          await store.write(scope, 'r.a', entry(payload, { tags }));
          const found = await fetched('r.a');
          expect(typeof found).toBe(typeof payload);
          expect(String(found) === String(payload)).toBe(true);
        }
    });

    it('does not mistake one large payload for another that took its place', async () => {
      await store.write(scope, 'r.a', entry('a'.repeat(300_000)));
      const found = (await store.read(scope, ['r.a'])).entries[0];
      await store.write(scope, 'r.a', entry('b'.repeat(300_000)));
      if (found && typeof found.payload === 'object' && 'ref' in found.payload)
        expect(await store.readDetached(scope, 'r.a', found.payload)).toBeUndefined();
      expect(await fetched('r.a')).toBe('b'.repeat(300_000));
      await store.remove(scope, ['r.a']);
      expect(await fetched('r.a')).toBeUndefined();
    });

    it('reads many keys of several scopes asked for in one tick, each its own', async () => {
      const scopes = Array.from({ length: 4 }, (_, index) => ({
        tenantId: parseTenantId(`${scope.tenantId}-${index >> 1}`),
        namespace: `n${index & 1}`,
      }));
      const keys = Array.from({ length: 700 }, (_, index) => `r.${index}`);
      for (const [index, each] of scopes.entries())
        await Promise.all(
          keys
            .filter((_, at) => at % 7 === 0)
            .map((key) => store.write(each, key, entry(`${index} ${key}`, { tags: [`r.t${index}`] }))),
        );
      await store.invalidateTags(scopes[2] as StoreScope, ['r.t2']);
      const readings = await Promise.all(scopes.map((each) => store.read(each, keys)));
      for (const [index, { entries }] of readings.entries())
        expect(entries.map((found) => found?.payload)).toEqual(
          keys.map((key, at) => (at % 7 === 0 && index !== 2 ? `${index} ${key}` : undefined)),
        );
    });

    it('keeps tenants and namespaces apart', async () => {
      await store.write(scope, 'r.a', entry('mine'));
      const foreign = { ...scope, tenantId: parseTenantId(`${scope.tenantId}-x`) };
      expect((await store.read(foreign, ['r.a'])).entries).toEqual([undefined]);
      expect((await store.read({ ...scope, namespace: 'other' }, ['r.a'])).entries).toEqual([undefined]);
    });

    it('lets an entry go stale, then lets it go', async () => {
      await store.write(scope, 'r.a', entry('v', { ttlMs: 100, graceMs: 100_000 }));
      await store.write(scope, 'r.b', entry('v', { ttlMs: 100 }));
      await harness.advance(150);
      const { entries } = await store.read(scope, ['r.a', 'r.b']);
      expect(entries[0]?.freshMs).toBeLessThanOrEqual(0);
      expect(entries[0]?.goneMs).toBeGreaterThan(0);
      expect(entries[1]).toBeUndefined();
    });

    it('gives the lease of a missing entry to one caller and makes the others wait', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => store.acquireLease(scope, 'r.a', request())),
      );
      expect(outcomes.filter(({ kind }) => kind === 'leased')).toHaveLength(1);
      expect(outcomes.filter(({ kind }) => kind === 'busy')).toHaveLength(19);
    });

    it('gives no lease for a fresh entry, unless the caller has seen it already', async () => {
      const token = await lease('r.a');
      const written = await store.write(scope, 'r.a', entry('v'), token);
      expect(written).toEqual({ kind: 'written', sequence: token });
      expect(await store.acquireLease(scope, 'r.a', request())).toMatchObject({ kind: 'hit' });
      expect((await store.acquireLease(scope, 'r.a', request({ newerThan: token }))).kind).toBe('leased');
    });

    it('gives a lease for a stale entry', async () => {
      await store.write(scope, 'r.a', entry('v', { ttlMs: 50, graceMs: 60_000 }));
      await harness.advance(80);
      expect((await store.acquireLease(scope, 'r.a', request())).kind).toBe('leased');
    });

    it('replaces a dead rebuilder after one lease, and refuses what it writes later', async () => {
      const dead = await lease('r.a', { leaseMs: 100 });
      await harness.advance(150);
      const alive = await lease('r.a');
      expect(alive).toBeGreaterThan(dead);
      expect(await store.write(scope, 'r.a', entry('late'), dead)).toEqual({ kind: 'overtaken' });
      expect((await store.write(scope, 'r.a', entry('good'), alive)).kind).toBe('written');
      expect(await payloads('r.a')).toEqual(['good']);
    });

    it('keeps a lease that is renewed, and does not revive one that is gone', async () => {
      const token = await lease('r.a', { leaseMs: 200 });
      expect(await store.renewLease(scope, 'r.a', token, 60_000)).toBe(true);
      await harness.advance(300);
      expect((await store.acquireLease(scope, 'r.a', request())).kind).toBe('busy');
      await store.releaseLease(scope, 'r.a', token);
      expect(await store.renewLease(scope, 'r.a', token, 60_000)).toBe(false);
      expect((await store.acquireLease(scope, 'r.a', request())).kind).toBe('leased');
    });

    it('tells of a failed rebuild those who began before it, and nobody who began after', async () => {
      const early = (await store.read(scope, ['r.a'])).sequence;
      const token = await lease('r.a');
      await store.releaseLease(scope, 'r.a', token, { reason: 'Error: no\nluck', keepMs: 5_000 });
      expect(await store.acquireLease(scope, 'r.a', request({ since: early }))).toEqual({
        kind: 'failed',
        reason: expect.stringMatching(/^Error: no\sluck$/),
      });
      const late = (await store.read(scope, ['r.a'])).sequence;
      expect((await store.acquireLease(scope, 'r.a', request({ since: late }))).kind).toBe('leased');
    });

    it('tells a caller who begins by asking for the lease all that a read would have told', async () => {
      const beginning = request({ since: undefined });
      await store.write(scope, 'r.a', entry('old', { ttlMs: 50, graceMs: 60_000 }));
      await harness.advance(80);
      const leased = await store.acquireLease(scope, 'r.a', beginning);
      expect(leased).toMatchObject({ kind: 'leased', stale: { payload: 'old' } });
      const busy = await store.acquireLease(scope, 'r.a', beginning);
      expect(busy).toMatchObject({ kind: 'busy', stale: { payload: 'old' } });
      if (leased.kind !== 'leased' || busy.kind !== 'busy') throw new Error('expected a lease');
      expect(busy.sequence).toBe(leased.token);
      await store.releaseLease(scope, 'r.a', leased.token, { reason: 'down', keepMs: 5_000 });
      // Who waited shares the failure; who begins now does not.
      expect(await store.acquireLease(scope, 'r.a', request({ since: busy.sequence }))).toMatchObject({
        kind: 'failed',
      });
      expect((await store.acquireLease(scope, 'r.a', beginning)).kind).toBe('leased');
    });

    it('ignores the release of a lease that belongs to someone else', async () => {
      const first = await lease('r.a', { leaseMs: 50 });
      await harness.advance(80);
      await lease('r.a');
      await store.releaseLease(scope, 'r.a', first);
      expect((await store.acquireLease(scope, 'r.a', request())).kind).toBe('busy');
    });

    const overtaking: [string, () => Promise<unknown>][] = [
      ['the removal of its key', () => store.remove(scope, ['r.a'])],
      ['an invalidation of its tag', () => store.invalidateTags(scope, ['r.t'])],
      ['a clearing of its namespace', () => store.clear(scope.tenantId, scope.namespace)],
      ['a clearing of its tenant', () => store.clear(scope.tenantId)],
      ['a plain write', () => store.write(scope, 'r.a', entry('newer'))],
    ];
    for (const [what, overtake] of overtaking) {
      for (const known of [true, false]) {
        it(`refuses a rebuild overtaken by ${what}, its tags ${known ? '' : 'un'}known at the lease`, async () => {
          const token = await lease('r.a', { tags: known ? ['r.t'] : [] });
          await overtake();
          const written = await store.write(scope, 'r.a', entry('stale', { tags: ['r.t'] }), token);
          expect(written).toEqual({ kind: 'overtaken' });
          expect(await payloads('r.a')).not.toContain('stale');
        });
      }

      if (what === 'a plain write') continue;
      it(`does not return an entry after ${what}`, async () => {
        await store.write(scope, 'r.a', entry('v', { tags: ['r.t', 'r.u'] }));
        expect(await payloads('r.a')).toEqual(['v']);
        await overtake();
        expect(await payloads('r.a')).toEqual([undefined]);
        await store.write(scope, 'r.a', entry('again', { tags: ['r.t'] }));
        expect(await payloads('r.a')).toEqual(['again']);
      });
    }

    it('lets a newcomer take over at once from a rebuild that an invalidation has overtaken', async () => {
      await lease('r.a', { tags: ['r.t'] });
      await store.invalidateTags(scope, ['r.t']);
      expect((await store.acquireLease(scope, 'r.a', request({ tags: ['r.t'] }))).kind).toBe('leased');
    });

    it('leaves entries alone that an invalidation does not concern', async () => {
      await store.write(scope, 'r.a', entry('a', { tags: ['r.t'] }));
      await store.write(scope, 'r.b', entry('b', { tags: ['r.u'] }));
      const elsewhere = { ...scope, namespace: 'other' };
      await store.write(elsewhere, 'r.a', entry('c', { tags: ['r.t'] }));
      await store.invalidateTags(scope, ['r.t']);
      expect(await payloads('r.a', 'r.b')).toEqual([undefined, 'b']);
      await store.clear(scope.tenantId, scope.namespace);
      expect(await payloads('r.b')).toEqual([undefined]);
      expect((await store.read(elsewhere, ['r.a'])).entries[0]?.payload).toBe('c');
    });

    it('accepts a rebuild when the invalidation concerned something else', async () => {
      const token = await lease('r.a', { tags: ['r.t'] });
      await store.invalidateTags(scope, ['r.other']);
      expect((await store.write(scope, 'r.a', entry('v', { tags: ['r.t'] }), token)).kind).toBe('written');
    });
  });
}
