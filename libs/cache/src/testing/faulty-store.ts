import type { Clock } from '@sparkle/contracts';
import { CacheStoreError } from '../errors.js';
import type { CacheStore } from '../ports/cache-store.port.js';

/** What a {@link FaultyStore} does with the next calls. */
export interface StoreFaults {
  /** Calls fail without reaching the store. */
  refuse: boolean;
  /** Calls reach the store, and their replies never come. */
  stall: boolean;
  /** Calls are delayed by this much, on the clock given. */
  delayMs: number;
}

/** Any store, with faults that tests switch on and off. */
export class FaultyStore implements CacheStore {
  readonly faults: StoreFaults = { refuse: false, stall: false, delayMs: 0 };
  /** Calls made, faulty ones included, by operation. */
  readonly calls = new Map<keyof CacheStore, number>();

  constructor(
    private readonly inner: CacheStore,
    private readonly clock: Clock,
  ) {}

  read: CacheStore['read'] = (...args) => this.pass('read', () => this.inner.read(...args));
  readDetached: CacheStore['readDetached'] = (...args) =>
    this.pass('readDetached', () => this.inner.readDetached(...args));
  acquireLease: CacheStore['acquireLease'] = (...args) =>
    this.pass('acquireLease', () => this.inner.acquireLease(...args));
  renewLease: CacheStore['renewLease'] = (...args) =>
    this.pass('renewLease', () => this.inner.renewLease(...args));
  releaseLease: CacheStore['releaseLease'] = (...args) =>
    this.pass('releaseLease', () => this.inner.releaseLease(...args));
  write: CacheStore['write'] = (...args) => this.pass('write', () => this.inner.write(...args));
  remove: CacheStore['remove'] = (...args) => this.pass('remove', () => this.inner.remove(...args));
  invalidateTags: CacheStore['invalidateTags'] = (...args) =>
    this.pass('invalidateTags', () => this.inner.invalidateTags(...args));
  clear: CacheStore['clear'] = (...args) => this.pass('clear', () => this.inner.clear(...args));
  ping: CacheStore['ping'] = () => this.pass('ping', () => this.inner.ping());

  count(operation: keyof CacheStore): number {
    return this.calls.get(operation) ?? 0;
  }

  private async pass<T>(operation: keyof CacheStore, run: () => Promise<T>): Promise<T> {
    this.calls.set(operation, this.count(operation) + 1);
    const { refuse, stall, delayMs } = this.faults;
    if (refuse) throw new CacheStoreError('The store refuses.');
    if (delayMs > 0) await this.clock.sleep(delayMs);
    const result = await run();
    if (stall) return new Promise<never>(() => undefined);
    return result;
  }
}
