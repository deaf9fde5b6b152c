import { type Clock, SystemClock, type TenantId } from '@sparkle/contracts';
import { LRUCache } from 'lru-cache';
import type {
  CacheStore,
  EntryToWrite,
  LeaseOutcome,
  LeaseRequest,
  Payload,
  StoredEntry,
  StoreReading,
  StoreScope,
  WriteOutcome,
} from '../../ports/cache-store.port.js';

interface HeldEntry {
  readonly written: EntryToWrite<Payload>;
  readonly sequence: number;
  readonly freshUntil: number;
  readonly goneAt: number;
}

type HeldLease =
  | { readonly token: number; readonly until: number }
  | { readonly failedAt: number; readonly reason: string; readonly until: number };

interface TenantVersions {
  counter: number;
  /** Number of the last invalidation of anything. */
  lastInvalidation: number;
  /** Number of the last invalidation of everything. */
  cleared: number;
}

export interface MemoryCacheStoreOptions {
  /** Entries, leases and marks kept, each. Default 100,000. */
  readonly maxEntries?: number;
  /** Bytes of payloads kept. Default 128 MiB. */
  readonly maxBytes?: number;
}

/**
 * The second tier inside one process, for embedded mode and tests. It keeps the same rules as the Redis adapter;
 * see {@link CacheStore}. What does not fit is dropped, least recently used first; an entry whose mark was
 * dropped is a miss.
 */
export class MemoryCacheStore implements CacheStore {
  private readonly entries: LRUCache<string, HeldEntry>;
  private readonly leases: LRUCache<string, HeldLease>;
  private readonly marks: LRUCache<string, number>;
  private readonly tenants: LRUCache<TenantId, TenantVersions>;
  /** Where counters start, so that one made anew never repeats numbers of the one it replaces. */
  private highest = 1;

  constructor(
    private readonly clock: Clock = new SystemClock(),
    { maxEntries = 100_000, maxBytes = 128 * 1024 * 1024 }: MemoryCacheStoreOptions = {},
  ) {
    this.entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      sizeCalculation: ({ written: { payload } }) =>
        (typeof payload === 'string' ? 2 : 1) * payload.length + 200,
    });
    this.leases = new LRUCache({ max: maxEntries });
    this.marks = new LRUCache({ max: maxEntries });
    this.tenants = new LRUCache({ max: maxEntries });
  }

  async read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading> {
    return {
      sequence: this.tenants.get(scope.tenantId)?.counter ?? 0,
      entries: keys.map((key) => this.valid(scope, key)),
      unreadable: 0,
    };
  }

  /** Payloads of this store always come with their entries. */
  async readDetached(): Promise<undefined> {}

  async acquireLease(scope: StoreScope, key: string, request: LeaseRequest): Promise<LeaseOutcome> {
    const now = this.clock.monotonic();
    const entry = this.valid(scope, key);
    const stale = request.since === undefined && entry && entry.freshMs <= 0 ? entry : undefined;
    if (entry && entry.freshMs > 0 && entry.sequence > request.newerThan) return { kind: 'hit', entry };
    const id = entryId(scope, key);
    const held = this.leases.get(id);
    if (held && held.until > now) {
      if ('failedAt' in held) {
        if (request.since !== undefined && held.failedAt > request.since)
          return { kind: 'failed', reason: held.reason };
      } else if (!this.isOvertaken(scope, held.token, request.tags)) {
        const sequence = this.versions(scope.tenantId).counter;
        return { kind: 'busy', remainingMs: held.until - now, sequence, stale };
      }
    }
    const token = this.next(scope.tenantId);
    this.ensureMarks(scope, request.tags, token);
    this.leases.set(id, { token, until: now + request.leaseMs });
    return { kind: 'leased', token, stale };
  }

  async renewLease(scope: StoreScope, key: string, token: number, leaseMs: number): Promise<boolean> {
    if (!this.holds(scope, key, token)) return false;
    this.leases.set(entryId(scope, key), { token, until: this.clock.monotonic() + leaseMs });
    return true;
  }

  async releaseLease(
    scope: StoreScope,
    key: string,
    token: number,
    failure?: { readonly reason: string; readonly keepMs: number },
  ): Promise<void> {
    if (!this.holds(scope, key, token)) return;
    const id = entryId(scope, key);
    if (!failure) {
      this.leases.delete(id);
      return;
    }
    this.leases.set(id, {
      failedAt: this.next(scope.tenantId),
      reason: failure.reason,
      until: this.clock.monotonic() + failure.keepMs,
    });
  }

  async write(
    scope: StoreScope,
    key: string,
    entry: EntryToWrite<Payload>,
    token?: number,
  ): Promise<WriteOutcome> {
    const id = entryId(scope, key);
    if (token !== undefined) {
      if (!this.holds(scope, key, token)) return { kind: 'overtaken' };
      this.leases.delete(id);
      if (!this.isProvenCurrent(scope, token, entry.tags)) return { kind: 'overtaken' };
    }
    this.leases.delete(id);
    const sequence = token ?? this.next(scope.tenantId);
    this.ensureMarks(scope, entry.tags, sequence);
    const now = this.clock.monotonic();
    this.entries.set(id, {
      written: entry,
      sequence,
      freshUntil: now + entry.ttlMs,
      goneAt: now + entry.ttlMs + entry.graceMs,
    });
    return { kind: 'written', sequence };
  }

  async remove(scope: StoreScope, keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.entries.delete(entryId(scope, key));
      this.leases.delete(entryId(scope, key));
    }
  }

  async invalidateTags(scope: StoreScope, tags: readonly string[]): Promise<void> {
    const number = this.noteInvalidation(scope.tenantId);
    for (const tag of tags)
      if (this.marks.has(markId(scope, tag))) this.marks.set(markId(scope, tag), number);
  }

  async clear(tenantId: TenantId, namespace?: string): Promise<void> {
    const number = this.noteInvalidation(tenantId);
    if (namespace === undefined) this.versions(tenantId).cleared = number;
    else this.marks.set(markId({ tenantId, namespace }), number);
  }

  async ping(): Promise<void> {}

  private valid(scope: StoreScope, key: string): StoredEntry<Payload> | undefined {
    const id = entryId(scope, key);
    const held = this.entries.get(id);
    if (!held) return undefined;
    const now = this.clock.monotonic();
    if (now >= held.goneAt || !this.isMarked(scope, held.sequence, held.written.tags)) {
      this.entries.delete(id);
      return undefined;
    }
    const { payload, loadMs, negative, tags } = held.written;
    return {
      payload,
      loadMs,
      negative,
      tags,
      sequence: held.sequence,
      freshMs: held.freshUntil - now,
      goneMs: held.goneAt - now,
    };
  }

  /** Every mark is there and none is above `sequence`. */
  private isMarked(scope: StoreScope, sequence: number, tags: readonly string[]): boolean {
    const versions = this.tenants.get(scope.tenantId);
    if (!versions || versions.cleared > sequence) return false;
    return [undefined, ...tags].every((tag) => {
      const mark = this.marks.get(markId(scope, tag));
      return mark !== undefined && mark <= sequence;
    });
  }

  /** Some mark that is there is above `token`. */
  private isOvertaken(scope: StoreScope, token: number, tags: readonly string[]): boolean {
    const versions = this.tenants.get(scope.tenantId);
    if (!versions || versions.cleared > token) return true;
    return [undefined, ...tags].some((tag) => (this.marks.get(markId(scope, tag)) ?? 0) > token);
  }

  /** No mark is above `token`; where one is missing, nothing at all was invalidated since. */
  private isProvenCurrent(scope: StoreScope, token: number, tags: readonly string[]): boolean {
    if (this.isOvertaken(scope, token, tags)) return false;
    const versions = this.versions(scope.tenantId);
    const missing = [undefined, ...tags].some((tag) => !this.marks.has(markId(scope, tag)));
    if (!missing || versions.lastInvalidation <= token) return true;
    this.ensureMarks(scope, tags, this.next(scope.tenantId));
    return false;
  }

  private ensureMarks(scope: StoreScope, tags: readonly string[], number: number): void {
    for (const tag of [undefined, ...tags]) {
      const id = markId(scope, tag);
      if (this.marks.get(id) === undefined) this.marks.set(id, number);
    }
  }

  private holds(scope: StoreScope, key: string, token: number): boolean {
    const held = this.leases.get(entryId(scope, key));
    return (
      held !== undefined && 'token' in held && held.token === token && held.until > this.clock.monotonic()
    );
  }

  private versions(tenantId: TenantId): TenantVersions {
    let versions = this.tenants.get(tenantId);
    if (!versions) {
      const start = this.highest;
      versions = { counter: start, lastInvalidation: start, cleared: start };
      this.tenants.set(tenantId, versions);
    }
    return versions;
  }

  private next(tenantId: TenantId): number {
    const versions = this.versions(tenantId);
    versions.counter++;
    this.highest = Math.max(this.highest, versions.counter);
    return versions.counter;
  }

  private noteInvalidation(tenantId: TenantId): number {
    const number = this.next(tenantId);
    this.versions(tenantId).lastInvalidation = number;
    return number;
  }
}

function entryId({ tenantId, namespace }: StoreScope, key: string): string {
  return `${tenantId}:${namespace}:${key}`;
}

function markId({ tenantId, namespace }: StoreScope, tag?: string): string {
  return tag === undefined ? `${tenantId}:${namespace}` : `${tenantId}:${namespace}:${tag}`;
}
