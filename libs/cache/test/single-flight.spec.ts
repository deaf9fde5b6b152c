import { SeededRandom } from '@sparkle/contracts/testing';
import { describe, expect, it, vi } from 'vitest';
import { LoaderFailedElsewhereError, LoaderTimeoutError } from '../src/errors.js';
import { acme, deferred, memoryCluster, settle } from './cluster.js';

describe('single flight', () => {
  it('calls one loader for a thousand callers in four processes', async () => {
    const { clock, members } = memoryCluster(4);
    const gate = deferred<string>();
    const loader = vi.fn(() => gate.promise);
    const calls = Array.from({ length: 1000 }, (_, index) =>
      members[index % 4]!.cache.getOrSet(acme, 'hot', loader),
    );
    await settle(clock);
    gate.resolve('value');
    await settle(clock);
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['value']));
    expect(loader).toHaveBeenCalledTimes(1);
  });

  it('calls a throwing loader once per wave; its error reaches all and is not cached', async () => {
    const { clock, members } = memoryCluster(4);
    const gates = [deferred<string>(), deferred<string>()];
    let wave = 0;
    const loader = vi.fn(() => gates[wave]!.promise);
    for (; wave < 2; wave++) {
      const calls = Array.from({ length: 400 }, (_, index) =>
        members[index % 4]!.cache.getOrSet(acme, 'hot', loader),
      );
      const outcomes = Promise.allSettled(calls);
      await settle(clock);
      gates[wave]!.reject(new Error('database down'));
      await settle(clock);
      const reasons = (await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason as Error);
      expect(reasons.every((reason) => reason.message.includes('database down'))).toBe(true);
      expect(reasons.filter((reason) => reason instanceof LoaderFailedElsewhereError)).toHaveLength(300);
      expect(loader).toHaveBeenCalledTimes(wave + 1);
    }
    expect(await members[0]!.cache.getOrSet(acme, 'hot', () => 'fine')).toBe('fine');
  });

  it('replaces a dead rebuilder after one lease', async () => {
    const { clock, first, second } = memoryCluster(2);
    const scope = { tenantId: acme.tenantId, namespace: acme.namespace };
    await first.store.acquireLease(scope, 'r.k', { leaseMs: 5000, tags: [], since: 0, newerThan: 0 });
    const loader = vi.fn(() => 'rebuilt');
    const waiting = second.cache.getOrSet(acme, 'k', loader);
    await clock.advance(4_999);
    expect(loader).not.toHaveBeenCalled();
    await clock.advance(10);
    expect(await waiting).toBe('rebuilt');
  });

  it('keeps a slow rebuilder’s lease alive', async () => {
    const { clock, first, second } = memoryCluster(2);
    const gate = deferred<string>();
    const loader = vi.fn(() => gate.promise);
    const calls = [first, second].map(({ cache }) => cache.getOrSet(acme, 'k', loader));
    await clock.advance(20_000);
    expect(loader).toHaveBeenCalledTimes(1);
    gate.resolve('slow');
    await settle(clock);
    expect(await Promise.all(calls)).toEqual(['slow', 'slow']);
  });

  it('does not need the wake-up message: waiters look again when the lease could have ended', async () => {
    const { clock, first, second } = memoryCluster(2);
    const gate = deferred<string>();
    const calls = [first, second].map(({ cache }) => cache.getOrSet(acme, 'k', () => gate.promise));
    await settle(clock);
    second.bus.setConnected(false);
    gate.resolve('value');
    await settle(clock);
    await clock.advance(5_001);
    expect(await Promise.all(calls)).toEqual(['value', 'value']);
  });

  it('lets callers who come after an invalidation load afresh, and the overtaken load write nothing', async () => {
    const { clock, first, second } = memoryCluster(2);
    const old = deferred<string>();
    const before = first.cache.getOrSet(acme, 'k', () => old.promise, { tags: ['t'] });
    await settle(clock);
    await second.cache.deleteByTag(acme, 't');
    const after = await first.cache.getOrSet(acme, 'k', () => 'new', { tags: ['t'] });
    old.resolve('old');
    await settle(clock);
    expect(after).toBe('new');
    expect(await before).toBe('old');
    expect(await first.cache.get(acme, 'k')).toBe('new');
    expect(await second.cache.get(acme, 'k')).toBe('new');
  });

  it('while the bus is cut makes those who come later wait for the load and look again, with one load for all', async () => {
    const { clock, first, second } = memoryCluster(2);
    first.bus.setConnected(false);
    const old = deferred<string>();
    const before = first.cache.getOrSet(acme, 'k', () => old.promise);
    await settle(clock);
    await second.cache.set(acme, 'k', 'new');
    await second.cache.delete(acme, 'k');
    const loader = vi.fn(() => 'newest');
    const batchLoader = vi.fn(() => new Map([['k', 'newest']]));
    const single = Array.from({ length: 50 }, () => first.cache.getOrSet(acme, 'k', loader));
    const many = first.cache.getMany(acme, ['k'], batchLoader);
    old.resolve('old');
    await settle(clock);
    expect(await before).toBe('old');
    expect(new Set(await Promise.all(single))).toEqual(new Set(['newest']));
    expect(await many).toEqual(new Map([['k', 'newest']]));
    expect(loader.mock.calls.length + batchLoader.mock.calls.length).toBe(1);
  });

  it('ends a load that exceeds its hard timeout, aborts its signal and drops its late result', async () => {
    const { clock, first } = memoryCluster(1);
    const late = deferred<string>();
    let signal: AbortSignal | undefined;
    const call = first.cache.getOrSet(acme, 'k', (context) => {
      signal = context.signal;
      return late.promise;
    });
    const outcome = expect(call).rejects.toThrow(LoaderTimeoutError);
    await clock.advance(30_000);
    await outcome;
    expect(signal?.aborted).toBe(true);
    late.resolve('late');
    await settle(clock);
    expect(await first.cache.get(acme, 'k')).toBeUndefined();
    expect(await first.cache.getOrSet(acme, 'k', () => 'next')).toBe('next');
  });

  it('of a batch and single loads shares what is in progress', async () => {
    const { clock, first } = memoryCluster(1);
    const gate = deferred<string>();
    const single = first.cache.getOrSet(acme, 'a', () => gate.promise);
    const batchLoader = vi.fn(
      async (keys: readonly string[]) => new Map(keys.map((key) => [key, `batch ${key}`])),
    );
    const batch = first.cache.getMany(acme, ['a', 'b'], batchLoader);
    await settle(clock);
    gate.resolve('single a');
    expect(await batch).toEqual(
      new Map([
        ['a', 'single a'],
        ['b', 'batch b'],
      ]),
    );
    expect(batchLoader.mock.calls[0]?.[0]).toEqual(['b']);
    expect(await single).toBe('single a');
  });
});

describe('values past their time', () => {
  const stale = { ttlMs: 1_000, graceMs: 10_000 };
  const aged = async (options = {}) => {
    const cluster = memoryCluster(2);
    await cluster.first.cache.set(acme, 'k', 'old', { ...stale, ...options });
    await cluster.clock.advance(1_500);
    return cluster;
  };

  it('are served while someone else rebuilds', async () => {
    const { clock, first, second } = await aged();
    const gate = deferred<string>();
    const starter = first.cache.getOrSet(acme, 'k', () => gate.promise, stale);
    await settle(clock);
    expect(await first.cache.getOrSet(acme, 'k', () => 'unused', stale)).toBe('old');
    expect(await second.cache.getOrSet(acme, 'k', () => 'unused', stale)).toBe('old');
    gate.resolve('new');
    expect(await starter).toBe('new');
    await settle(clock);
    expect(await second.cache.getOrSet(acme, 'k', () => 'unused', stale)).toBe('new');
  });

  it('are served at once to everyone with staleWhileRevalidate', async () => {
    const { clock, first } = await aged();
    const gate = deferred<string>();
    const options = { ...stale, staleWhileRevalidate: true };
    expect(await first.cache.getOrSet(acme, 'k', () => gate.promise, options)).toBe('old');
    gate.resolve('new');
    await settle(clock);
    expect(await first.cache.get(acme, 'k')).toBe('new');
  });

  it('are served when the loader fails, which is then left alone for a while', async () => {
    const { clock, first } = await aged();
    const loader = vi.fn(() => Promise.reject(new Error('down')));
    for (let call = 0; call < 3; call++)
      expect(await first.cache.getOrSet(acme, 'k', loader, stale)).toBe('old');
    expect(loader).toHaveBeenCalledTimes(1);
    await clock.advance(1_000);
    expect(await first.cache.getOrSet(acme, 'k', loader, stale)).toBe('old');
    expect(loader).toHaveBeenCalledTimes(2);
    await clock.advance(10_000);
    await expect(first.cache.getOrSet(acme, 'k', loader, stale)).rejects.toThrow('down');
  });

  it('are served when the loader exceeds its soft timeout, while the load goes on', async () => {
    const { clock, first } = await aged();
    const gate = deferred<string>();
    const call = first.cache.getOrSet(acme, 'k', () => gate.promise, { ...stale, softTimeoutMs: 100 });
    await clock.advance(100);
    expect(await call).toBe('old');
    gate.resolve('new');
    await settle(clock);
    expect(await first.cache.get(acme, 'k')).toBe('new');
  });

  it('are not served by default, nor by get', async () => {
    const { first, clock } = await aged();
    expect(await first.cache.get(acme, 'k')).toBeUndefined();
    expect(await first.cache.peek(acme, 'k')).toMatchObject({ state: 'stale', value: 'old' });
    await first.cache.set(acme, 'plain', 'old', { ttlMs: 1_000 });
    await clock.advance(1_500);
    await expect(
      first.cache.getOrSet(acme, 'plain', () => Promise.reject(new Error('down'))),
    ).rejects.toThrow('down');
  });
});

describe('early refresh', () => {
  it('rebuilds a hot value before it expires, once across processes, and nobody waits', async () => {
    const { clock, members } = memoryCluster(4, { policy: { earlyRefreshBeta: 1 } });
    let version = 0;
    const loader = vi.fn(async () => {
      await clock.sleep(50);
      return ++version;
    });
    const options = { ttlMs: 1_000 };
    const first = members[0]!.cache.getOrSet(acme, 'k', loader, options);
    await clock.advance(50);
    await first;
    const seen = new Set<number>();
    for (let step = 0; step < 600; step++) {
      for (const { cache } of members) {
        let value: number | undefined;
        void cache.getOrSet(acme, 'k', loader, options).then((got) => {
          value = got;
        });
        await settle(clock);
        expect(value).toBeDefined();
        seen.add(value!);
      }
      await clock.advance(10);
    }
    expect(seen.size).toBeGreaterThanOrEqual(6);
    expect(loader.mock.calls.length).toBeLessThanOrEqual(10);
  }, 60_000);

  it.each([1, 2, 3])(
    'keeps 999 of 1000 calls a second from waiting for a loader, with at most 1.5 rebuilds per TTL (seed %i)',
    async (seed) => {
      const { clock, members } = memoryCluster(4, {
        policy: { earlyRefreshBeta: 1, jitter: 0.15, ttlMs: 1_000 },
      });
      const random = new SeededRandom(seed);
      const loader = vi.fn(() => clock.sleep(20 + 30 * random.next()).then(() => clock.monotonic()));
      await Promise.all([members[0]!.cache.getOrSet(acme, 'k', loader), clock.advance(50)]);
      loader.mockClear();
      const seconds = 30;
      let waited = 0;
      let oldest = 0;
      for (let at = 0; at < seconds * 1_000; at++) {
        const began = clock.monotonic();
        const { cache } = members[Math.floor(4 * random.next())]!;
        void cache.getOrSet(acme, 'k', loader).then((loadedAt) => {
          if (clock.monotonic() > began) waited++;
          oldest = Math.max(oldest, clock.monotonic() - loadedAt);
        });
        await clock.advance(1);
      }
      expect(waited).toBeLessThanOrEqual(seconds * 1_000 * 0.001);
      expect(loader.mock.calls.length).toBeLessThanOrEqual(1.5 * seconds);
      expect(loader.mock.calls.length).toBeGreaterThanOrEqual(seconds);
      expect(oldest).toBeLessThanOrEqual(1_000);
    },
    60_000,
  );
});
