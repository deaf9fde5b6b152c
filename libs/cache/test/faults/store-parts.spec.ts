import { parseTenantId } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it, vi } from 'vitest';
import { MemoryCacheStore } from '../../src/adapters/memory/memory-cache.store.js';
import { MemoryBusHub, MemoryInvalidationBus } from '../../src/adapters/memory/memory-invalidation.bus.js';
import { clusterSlot } from '../../src/adapters/redis/cluster-slot.js';
import { MessageNumbers } from '../../src/adapters/redis/message-numbers.js';
import { CacheService } from '../../src/core/cache.service.js';
import { CacheStoreError } from '../../src/errors.js';

/** A store of which each tenant has a part, some of them out of order. */
class PartedStore extends MemoryCacheStore {
  readonly broken = new Set<string>();
  readonly partOf = (tenantId: string) => tenantId;
  readonly pings: (string | undefined)[] = [];

  override read: MemoryCacheStore['read'] = (scope, keys) =>
    this.unlessBroken(scope.tenantId, () => MemoryCacheStore.prototype.read.call(this, scope, keys));
  override acquireLease: MemoryCacheStore['acquireLease'] = (scope, key, request) =>
    this.unlessBroken(scope.tenantId, () =>
      MemoryCacheStore.prototype.acquireLease.call(this, scope, key, request),
    );
  override remove: MemoryCacheStore['remove'] = (scope, keys) =>
    this.unlessBroken(scope.tenantId, () => MemoryCacheStore.prototype.remove.call(this, scope, keys));

  override async ping(tenantId?: string): Promise<void> {
    this.pings.push(tenantId);
    await this.unlessBroken(tenantId ?? '', async () => {});
  }

  private async unlessBroken<T>(tenantId: string, run: () => Promise<T>): Promise<T> {
    if (this.broken.has(tenantId)) throw new CacheStoreError('This part is out of order.');
    return run();
  }
}

describe('a store of several parts', () => {
  const lost = { tenantId: parseTenantId('lost'), namespace: 'courses' };
  const healthy = { tenantId: parseTenantId('healthy'), namespace: 'courses' };

  const open = () => {
    const clock = new TestClock();
    const store = new PartedStore(clock);
    const hub = new MemoryBusHub();
    const [first, second] = [0, 1].map(
      () => new CacheService({ store, bus: new MemoryInvalidationBus(hub), clock }),
    ) as [CacheService, CacheService];
    return { clock, store, first, second };
  };

  it('loses one without the tenants of the others noticing', async () => {
    const { clock, store, first, second } = open();
    store.broken.add('lost');
    for (let call = 0; call < 20; call++)
      expect(await first.getOrSet(lost, `k${call}`, () => call)).toBe(call);
    expect(first.storeAvailable).toBe(false);
    await second.set(healthy, 'k', 'stored');
    const loader = vi.fn();
    expect(await first.getOrSet(healthy, 'k', loader)).toBe('stored');
    expect(loader).not.toHaveBeenCalled();
    store.broken.clear();
    await clock.advance(500);
    expect(first.storeAvailable).toBe(true);
    expect(new Set(store.pings)).toEqual(new Set(['lost']));
  });

  it('delivers what it can of the invalidations that were deferred', async () => {
    const { clock, store, first, second } = open();
    await second.set(healthy, 'k', 'old');
    await second.set(lost, 'k', 'old');
    store.broken.add('lost').add('healthy');
    expect(await first.delete(lost, 'k')).toBe('deferred');
    expect(await first.delete(healthy, 'k')).toBe('deferred');
    store.broken.delete('healthy');
    await clock.advance(500);
    expect(await second.peek(healthy, 'k')).toBeUndefined();
    store.broken.clear();
    await clock.advance(500);
    expect(await second.peek(lost, 'k')).toBeUndefined();
  });
});

describe('the slot of a hash tag', () => {
  it('is the one the Redis Cluster specification gives', () => {
    expect(clusterSlot('123456789')).toBe(0x31c3);
    expect(clusterSlot('foo')).toBe(12_182);
    expect(clusterSlot('')).toBe(0);
  });
});

describe('numbered messages', () => {
  it('are complete when all have arrived, in whatever order', () => {
    const numbers = new MessageNumbers();
    for (const number of [2, 1, 4, 3]) numbers.noteMessage('a', number);
    expect(numbers.noteTally('a', 4)).toBe(true);
    expect(numbers.noteTally('a', 0)).toBe(true);
  });

  it('are known to be lost once, at the sender’s next tally', () => {
    const numbers = new MessageNumbers();
    for (const number of [1, 3]) numbers.noteMessage('a', number);
    expect(numbers.noteTally('a', 1)).toBe(true);
    expect(numbers.noteTally('a', 3)).toBe(false);
    expect(numbers.noteTally('a', 3)).toBe(true);
    numbers.noteMessage('a', 4);
    expect(numbers.noteTally('a', 4)).toBe(true);
  });

  it('of a sender unknown or forgotten count as lost', () => {
    const numbers = new MessageNumbers();
    expect(numbers.noteTally('a', 1)).toBe(false);
    expect(numbers.noteTally('a', 1)).toBe(true);
    for (let beat = 0; beat < 1_000; beat++) numbers.age();
    expect(numbers.noteTally('a', 1)).toBe(false);
  });
});
