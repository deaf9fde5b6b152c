import type { TenantId } from '@sparkle/contracts';
import type { CacheScope } from '../cache-scope.js';
import type { Flight } from '../flight.js';
import type { HeldEntry } from './held-entry.js';
import type { TenantShare } from './tenant-share.js';

/** A tag in this process. Entries remember its version; raising the version invalidates them all at once. */
export interface TagMark {
  version: number;
  /** Entries in memory that carry the tag. The mark is dropped with the last. */
  holders: number;
}

/**
 * Notes the invalidations that arrive while a value is on its way, so that a value read before an invalidation
 * is not put into memory after it.
 */
export class InvalidationWatch {
  private all = false;
  // Most watches note nothing.
  private keys: Set<string> | undefined;
  private tags: Set<string> | undefined;

  constructor(private readonly watches: Set<InvalidationWatch>) {
    watches.add(this);
  }

  noteAll(): void {
    this.all = true;
  }

  noteKey(key: string): void {
    this.keys ??= new Set();
    this.keys.add(key);
  }

  noteTag(tag: string): void {
    this.tags ??= new Set();
    this.tags.add(tag);
  }

  allows(key: string, tags: readonly string[]): boolean {
    if (this.all || this.keys?.has(key)) return false;
    return this.tags === undefined || !tags.some((tag) => this.tags?.has(tag));
  }

  close(): void {
    this.watches.delete(this);
  }
}

/** What this process knows of one tenant's namespace. */
export class ScopeState implements CacheScope {
  readonly tenantId: TenantId;
  readonly namespace: string;
  readonly id: string;
  /** Valid entries, by key, and outdated ones nobody has met yet. Replaced as a whole when the scope is cleared. */
  entries = new Map<string, HeldEntry>();
  /** Set when the tier has forgotten the scope; its entries are gone and it is looked up anew. */
  retired = false;
  /** The tier's epoch when this scope was used last. */
  usedIn = 0;
  /** The epoch by which it stands in the tier's order of scopes. */
  placedIn = 0;
  readonly tags = new Map<string, TagMark>();
  readonly watches = new Set<InvalidationWatch>();
  /** Loads in progress, by key. */
  readonly flights = new Map<string, Flight>();

  /** @param number tells the scopes of a tenant apart */
  constructor(
    { tenantId, namespace }: CacheScope,
    readonly share: TenantShare,
    readonly number: number,
  ) {
    this.tenantId = tenantId;
    this.namespace = namespace;
    this.id = `${tenantId}\0${namespace}`;
  }

  holdTag(tag: string): TagMark {
    let mark = this.tags.get(tag);
    if (!mark) {
      mark = { version: 0, holders: 0 };
      this.tags.set(tag, mark);
    }
    mark.holders++;
    return mark;
  }

  releaseTag(tag: string, mark: TagMark): void {
    mark.holders--;
    if (mark.holders === 0 && this.tags.get(tag) === mark) this.tags.delete(tag);
  }
}
