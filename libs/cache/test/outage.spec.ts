import { describe, expect, it, vi } from 'vitest';
import { acme, memoryCluster, settle } from './cluster.js';

describe('with the store out of reach', () => {
  it('a stalled store costs a load one budget, and nothing once the breaker is open', async () => {
    const { clock, first } = memoryCluster(1);
    first.store.faults.stall = true;
    for (let call = 0; call < 5; call++) {
      const value = first.cache.getOrSet(acme, `k${call}`, () => 'loaded');
      await clock.advance(50);
      expect(await value).toBe('loaded');
    }
    expect(first.cache.storeAvailable).toBe(false);
    const reads = first.store.count('read');
    expect(await first.cache.getOrSet(acme, 'another', () => 'loaded')).toBe('loaded');
    expect(first.store.count('read')).toBe(reads);
  });

  it('reads go on with memory, and loads stay single per process', async () => {
    const { clock, first } = memoryCluster(1);
    await first.cache.set(acme, 'k', 'kept');
    first.store.faults.refuse = true;
    first.bus.setConnected(false);
    expect(await first.cache.get(acme, 'k')).toBe('kept');
    const loader = vi.fn(async () => {
      await clock.sleep(10);
      return 'loaded';
    });
    const calls = Array.from({ length: 50 }, () => first.cache.getOrSet(acme, 'other', loader));
    await clock.advance(20);
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['loaded']));
    expect(loader).toHaveBeenCalledTimes(1);
    expect(await first.cache.getMany(acme, ['x'], async () => new Map([['x', 1]]))).toEqual(
      new Map([['x', 1]]),
    );
  });

  it('is found back by a probe that no caller pays for', async () => {
    const { clock, first } = memoryCluster(1);
    first.store.faults.refuse = true;
    for (let call = 0; call < 5; call++) await first.cache.get(acme, `k${call}`);
    expect(first.cache.storeAvailable).toBe(false);
    await clock.advance(2_000);
    expect(first.cache.storeAvailable).toBe(false);
    first.store.faults.refuse = false;
    await clock.advance(500);
    expect(first.cache.storeAvailable).toBe(true);
  });

  it('an invalidation is deferred and applied before anything else is read from the store', async () => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'a', 'old');
    await first.cache.set(acme, 'b', 'old', { tags: ['t'] });
    await second.cache.getMany(acme, ['a', 'b'], async () => new Map());
    first.store.faults.refuse = true;
    expect(await first.cache.delete(acme, 'a')).toBe('deferred');
    expect(await first.cache.deleteByTag(acme, 't')).toBe('deferred');
    expect(await first.cache.get(acme, 'a')).toBeUndefined();
    first.store.faults.refuse = false;
    expect(await first.cache.get(acme, 'a')).toBeUndefined();
    expect(await first.cache.get(acme, 'b')).toBeUndefined();
    await settle(clock);
    expect(await second.cache.get(acme, 'a')).toBeUndefined();
    expect(await second.cache.get(acme, 'b')).toBeUndefined();
  });

  it('a deferred invalidation is delivered without anyone asking', async () => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'a', 'old');
    first.store.faults.refuse = true;
    await first.cache.delete(acme, 'a');
    first.store.faults.refuse = false;
    await clock.advance(500);
    expect(await second.cache.get(acme, 'a')).toBeUndefined();
  });

  it('a set lives in this process, and the old value does not come back', async () => {
    const { clock, first, second } = memoryCluster(2);
    await first.cache.set(acme, 'a', 'old');
    first.store.faults.refuse = true;
    await first.cache.set(acme, 'a', 'new');
    expect(await first.cache.get(acme, 'a')).toBe('new');
    first.store.faults.refuse = false;
    await clock.advance(500);
    expect(await second.cache.get(acme, 'a')).toBeUndefined();
  });

  it('a write whose reply is lost still gives the caller the value', async () => {
    const { clock, first } = memoryCluster(1);
    const value = first.cache.getOrSet(acme, 'k', () => {
      first.store.faults.stall = true;
      return 'loaded';
    });
    await clock.advance(60);
    expect(await value).toBe('loaded');
  });

  it('a large value has a budget that grows with its size, and a small one meanwhile has its own', async () => {
    const { clock, first } = memoryCluster(1);
    first.store.faults.stall = true;
    let large = 'pending';
    let small = 'pending';
    void first.cache.set(acme, 'large', 'x'.repeat(500 * 1024)).then(() => {
      large = 'done';
    });
    void first.cache.set(acme, 'small', 'x').then(() => {
      small = 'done';
    });
    await clock.advance(51);
    expect([large, small]).toEqual(['pending', 'done']);
    await clock.advance(18);
    expect(large).toBe('pending');
    await clock.advance(3);
    expect(large).toBe('done');
  });

  it('calls that began one after another each have their whole budget, and one timer in all', async () => {
    const { clock, first } = memoryCluster(1, { l2: { breakerFailures: 1000 } });
    first.store.faults.stall = true;
    const done: number[] = [];
    for (let call = 0; call < 10; call++) {
      void first.cache.get(acme, `k${call}`).then(() => done.push(call));
      await clock.advance(10);
      expect(clock.pendingTimers).toBe(1);
      expect(done).toEqual(Array.from({ length: Math.max(0, call - 3) }, (_, index) => index));
    }
  });
});
