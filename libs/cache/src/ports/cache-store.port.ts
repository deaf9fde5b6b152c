import type { TenantId } from '@sparkle/contracts';

/** Whose entries, and which family of them. */
export interface StoreScope {
  readonly tenantId: TenantId;
  readonly namespace: string;
}

/** A payload too large to be read along with others; see {@link CacheStore.readDetached}. */
export interface DetachedPayload {
  readonly bytes: number;
  /** Whether it is text. */
  readonly text: boolean;
  /** Tells this payload from others that were kept for the same key. */
  readonly ref: string;
}

/** An encoded value: text, or bytes when it is compressed. A store returns the kind it was given. */
export type Payload = string | Buffer;

/** What a read finds: the payload, or where it is. */
export type StoredPayload = Payload | DetachedPayload;

/** An entry as the second tier holds it. Times are what the store's own clock leaves of them. */
export interface StoredEntry<Content = string> {
  /** The encoded value. */
  readonly payload: Content;
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
  readonly entries: readonly (StoredEntry<StoredPayload> | undefined)[];
  /** How many of the keys hold something that is not an entry. They count as missing. */
  readonly unreadable: number;
}

export interface EntryToWrite<Content = string> {
  readonly payload: Content;
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
  /**
   * Version counter when the caller began: a failure noted after it is the caller's failure too. `undefined` for
   * a caller that begins with this call: it is told the counter, and gets the entry if that is stale.
   */
  readonly since: number | undefined;
  /** A fresh entry counts as a hit only if its sequence is above this. Zero: any fresh entry. */
  readonly newerThan: number;
}

/** `Content`: what is known of payloads, see {@link StoredPayload}. */
export type LeaseOutcome<Content = StoredPayload> =
  /** The caller rebuilds. The token orders this rebuild among all changes of the tenant. */
  | {
      readonly kind: 'leased';
      readonly token: number;
      readonly stale?: StoredEntry<Content> | undefined;
    }
  /** Someone else rebuilds and has this long before being replaced. */
  | {
      readonly kind: 'busy';
      readonly remainingMs: number;
      /** Where the version counter stands. */
      readonly sequence: number;
      readonly stale?: StoredEntry<Content> | undefined;
    }
  /** Someone else has rebuilt meanwhile; without `entry` if what is there cannot be read. */
  | { readonly kind: 'hit'; readonly entry: StoredEntry<Content> | undefined }
  /** The rebuild the caller would have waited for has failed. */
  | { readonly kind: 'failed'; readonly reason: string };

export type WriteOutcome =
  | { readonly kind: 'written'; readonly sequence: number }
  /** The lease was lost, or an invalidation came after it: nothing was written. */
  | { readonly kind: 'overtaken' };

/** News of a change, for a store that can send it together with the change. */
export interface Announcement {
  readonly channel: string;
  readonly text: string;
}

/**
 * The second tier. Keys, tags and namespaces are safe strings: printable ASCII without spaces and
 * braces, at most 100 characters.
 *
 * Every tenant has one version counter. A lease takes a number from it; an invalidation takes a higher one and
 * leaves it on the tag, namespace or tenant concerned. An entry is valid while none of its marks is above its
 * own number, and a mark that was lost makes its entries invalid. Nothing compares clocks of two machines, and
 * invalidating costs the same however many entries it concerns.
 */
export interface CacheStore {
  /**
   * The connection changes go through. A bus that publishes through the same one gives its messages along as
   * announcements, and the store sends them in one step with the change. Without it, announcements are not given.
   */
  readonly publishesThrough?: object;
  /** Names the part of the store a tenant lives on, such as a node of a cluster, that may fail without the others. */
  readonly partOf?: (tenantId: TenantId) => string;
  read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading>;
  /** The payload of an entry that was read just now; `undefined` when it is gone or has been replaced. */
  readDetached(scope: StoreScope, key: string, payload: DetachedPayload): Promise<Payload | undefined>;
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
    announcement?: Announcement,
  ): Promise<void>;
  /**
   * Writes an entry. With `token`, only if that lease is still held and nothing it depends on was invalidated
   * since; the lease ends either way. Without, always, and any rebuild in progress is overtaken.
   */
  write(
    scope: StoreScope,
    key: string,
    entry: EntryToWrite<Payload>,
    token?: number,
    announcement?: Announcement,
  ): Promise<WriteOutcome>;
  /** Removes entries and overtakes their rebuilds. */
  remove(scope: StoreScope, keys: readonly string[], announcement?: Announcement): Promise<void>;
  invalidateTags(scope: StoreScope, tags: readonly string[], announcement?: Announcement): Promise<void>;
  /** Invalidates a namespace, or, without one, everything of a tenant. */
  clear(tenantId: TenantId, namespace?: string, announcement?: Announcement): Promise<void>;
  /** Resolves when the store answers, with `tenantId` the part of it that tenant lives on. */
  ping(tenantId?: TenantId): Promise<void>;
}

/** Injection token of the {@link CacheStore} port. */
export const CacheStore = Symbol('CacheStore');
