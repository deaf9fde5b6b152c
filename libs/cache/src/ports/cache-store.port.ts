import type { TenantId } from '@sparkle/contracts';

/** Whose entries, and which family of them. */
export interface StoreScope {
  readonly tenantId: TenantId;
  readonly namespace: string;
}

/** An entry as the second tier holds it. Times are what the store's own clock leaves of them. */
export interface StoredEntry {
  /** The encoded value. */
  readonly payload: string;
  /** Where on the tenant's version counter the value's load began. Later entries have higher numbers. */
  readonly sequence: number;
  /** Milliseconds of freshness left; zero or less once stale. */
  readonly freshMs: number;
  /** Milliseconds until the entry is gone: its freshness plus its grace period. */
  readonly goneMs: number;
  /** How long the load took, milliseconds. */
  readonly loadMs: number;
  /** Says that the thing asked for does not exist. */
  readonly negative: boolean;
  readonly tags: readonly string[];
}

/** Entries in the order of the keys asked for, and where the tenant's version counter stood. */
export interface StoreReading {
  readonly sequence: number;
  readonly entries: readonly (StoredEntry | undefined)[];
}

export interface EntryToWrite {
  readonly payload: string;
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly loadMs: number;
  readonly negative: boolean;
  readonly tags: readonly string[];
}

export interface LeaseRequest {
  readonly leaseMs: number;
  /** Tags the entry is known to get. */
  readonly tags: readonly string[];
  /** Version counter when the caller began: a failure noted after it is the caller's failure too. */
  readonly since: number;
  /** A fresh entry counts as a hit only if its sequence is above this. Zero: any fresh entry. */
  readonly newerThan: number;
}

export type LeaseOutcome =
  /** The caller rebuilds. The token orders this rebuild among all changes of the tenant. */
  | { readonly kind: 'leased'; readonly token: number }
  /** Someone else rebuilds and has this long before being replaced. */
  | { readonly kind: 'busy'; readonly remainingMs: number }
  /** Someone else has rebuilt meanwhile. */
  | { readonly kind: 'hit'; readonly entry: StoredEntry }
  /** The rebuild the caller would have waited for has failed. */
  | { readonly kind: 'failed'; readonly reason: string };

export type WriteOutcome =
  | { readonly kind: 'written'; readonly sequence: number }
  /** The lease was lost, or an invalidation came after it: nothing was written. */
  | { readonly kind: 'overtaken' };

/**
 * The second tier. Keys, tags and namespaces are safe strings (`[A-Za-z0-9._~-]`, at most 100 characters).
 *
 * Every tenant has one version counter. A lease takes a number from it; an invalidation takes a higher one and
 * leaves it on the tag, namespace or tenant concerned. An entry is valid while none of its marks is above its
 * own number, and a mark that was lost makes its entries invalid. Nothing compares clocks of two machines, and
 * invalidating costs the same however many entries it concerns.
 */
export interface CacheStore {
  read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading>;
  /** Takes the right to rebuild one entry, or says why that is not needed. */
  acquireLease(scope: StoreScope, key: string, request: LeaseRequest): Promise<LeaseOutcome>;
  /** Prolongs a lease; `false` when it is no longer held. */
  renewLease(scope: StoreScope, key: string, token: number, leaseMs: number): Promise<boolean>;
  /** Gives a lease back unused. With `failure`, callers who began before hear of it for `failure.keepMs`. */
  releaseLease(
    scope: StoreScope,
    key: string,
    token: number,
    failure?: { readonly reason: string; readonly keepMs: number },
  ): Promise<void>;
  /**
   * Writes an entry. With `token`, only if that lease is still held and nothing it depends on was invalidated
   * since; the lease ends either way. Without, always, and any rebuild in progress is overtaken.
   */
  write(scope: StoreScope, key: string, entry: EntryToWrite, token?: number): Promise<WriteOutcome>;
  /** Removes entries and overtakes their rebuilds. */
  remove(scope: StoreScope, keys: readonly string[]): Promise<void>;
  invalidateTags(scope: StoreScope, tags: readonly string[]): Promise<void>;
  /** Invalidates a namespace, or everything of a tenant. */
  clear(tenantId: TenantId, namespace?: string): Promise<void>;
  /** Resolves when the store answers. */
  ping(): Promise<void>;
}

/** Injection token of the {@link CacheStore} port. */
export const CacheStore = Symbol('CacheStore');
