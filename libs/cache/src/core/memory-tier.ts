import type { Clock, TenantId } from '@sparkle/contracts';
import { LRUCache } from 'lru-cache';
import type { CacheScope } from './cache-scope.js';
import type { CachedValue } from './cached-value.js';
import type { Flight } from './flight.js';

/** A tag in this process. Entries remember its version; raising the version invalidates them all at once. */
interface TagMark {
  version: number;
  /** Entries in memory that carry the tag. The mark is dropped with the last. */
  holders: number;
}

/** An entry of the first tier. Times are on the monotonic clock. */
export interface MemoryEntry {
  readonly value: CachedValue;
  readonly sequence: number;
  readonly loadMs: number;
  /** Until then the first tier answers without asking anyone. */
  readonly confirmedUntil: number;
  /** Until then the value is fresh. */
  readonly freshUntil: number;
  /** Until then it may be served stale. */
  readonly goneAt: number;
  /** From then on early refresh is worth a dice roll. */
  readonly earlyFrom: number;
  /** Generation of the bus link under which it was put here; see `BusLink`. */
  readonly trust: number;
  readonly tags: readonly string[];
}

interface HeldEntry {
  readonly entry: MemoryEntry;
  readonly scope: ScopeState;
  readonly generation: number;
  readonly marks: readonly TagMark[];
  readonly versions: readonly number[];
}

/**
 * Notes the invalidations that arrive while a value is on its way, so that a value read before an invalidation
 * is not put into memory after it.
 */
export class InvalidationWatch {
  private all = false;
  private readonly keys = new Set<string>();
  private readonly tags = new Set<string>();

  constructor(private readonly watches: Set<InvalidationWatch>) {
    watches.add(this);
  }

  noteAll(): void {
    this.all = true;
  }

  noteKey(key: string): void {
    this.keys.add(key);
  }

  noteTag(tag: string): void {
    this.tags.add(tag);
  }

  allows(key: string, tags: readonly string[]): boolean {
    return !this.all && !this.keys.has(key) && !tags.some((tag) => this.tags.has(tag));
  }

  close(): void {
    this.watches.delete(this);
  }
}

/** What this process knows of one tenant's namespace. */
export interface ScopeState extends CacheScope {
  readonly id: string;
  generation: number;
  /** Set when the tier has forgotten the scope; its entries are gone and it is looked up anew. */
  retired: boolean;
  readonly tags: Map<string, TagMark>;
  readonly watches: Set<InvalidationWatch>;
  /** Loads in progress, by key. */
  readonly flights: Map<string, Flight>;
}

export interface MemoryTierOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Scopes kept track of; the least used one is forgotten with its entries. */
  readonly maxScopes: number;
}

/**
 * The first tier: entries of this process, bounded by number and bytes, least recently used out first.
 * Invalidating a tag, namespace or tenant costs the same however many entries it concerns: versions are raised,
 * and outdated entries are dropped when met.
 */
export class MemoryTier {
  private readonly held: LRUCache<string, HeldEntry>;
  private readonly scopes: LRUCache<string, ScopeState>;
  private readonly scopesOfTenant = new Map<string, Set<ScopeState>>();

  constructor(
    options: MemoryTierOptions,
    private readonly clock: Clock,
    private readonly onEvicted: (scope: CacheScope) => void,
  ) {
    this.held = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      maxEntrySize: options.maxBytes,
      dispose: (held, _id, reason) => {
        releaseTags(held);
        if (reason === 'evict') this.onEvicted(held.scope);
      },
    });
    this.scopes = new LRUCache({ max: options.maxScopes, dispose: (state) => this.forget(state) });
  }

  get entries(): number {
    return this.held.size;
  }

  get bytes(): number {
    return this.held.calculatedSize;
  }

  /** The scope's state if this process has used it. */
  known(scope: CacheScope): ScopeState | undefined {
    return this.scopes.peek(scopeId(scope));
  }

  scope({ tenantId, namespace }: CacheScope): ScopeState {
    const id = scopeId({ tenantId, namespace });
    const known = this.scopes.get(id);
    if (known) return known;
    const state: ScopeState = {
      tenantId,
      namespace,
      id,
      generation: 0,
      retired: false,
      tags: new Map(),
      watches: new Set(),
      flights: new Map(),
    };
    this.scopes.set(id, state);
    const siblings = this.scopesOfTenant.get(tenantId);
    if (siblings) siblings.add(state);
    else this.scopesOfTenant.set(tenantId, new Set([state]));
    return state;
  }

  /** An entry that is valid as far as this process knows, fresh or stale. */
  lookup(scope: ScopeState, key: string, now: number, quietly = false): MemoryEntry | undefined {
    const id = entryId(scope, key);
    const held = quietly ? this.held.peek(id) : this.held.get(id);
    if (held === undefined) return undefined;
    if (now < held.entry.goneAt && isCurrent(held, scope)) return held.entry;
    if (!quietly) this.held.delete(id);
    return undefined;
  }

  put(scope: ScopeState, key: string, entry: MemoryEntry): void {
    const lifetimeMs = entry.goneAt - this.clock.monotonic();
    if (lifetimeMs <= 0) return;
    const marks = entry.tags.map((tag) => holdTag(scope, tag));
    const held: HeldEntry = {
      entry,
      scope,
      generation: scope.generation,
      marks,
      versions: marks.map((mark) => mark.version),
    };
    const size = entry.value.bytes + 2 * key.length;
    this.held.set(entryId(scope, key), held, { size });
    if (this.held.peek(entryId(scope, key)) !== held) releaseTags(held);
  }

  watch(scope: ScopeState): InvalidationWatch {
    return new InvalidationWatch(scope.watches);
  }

  /** Drops entries; loads in progress go on for those who wait, and newcomers start afresh. */
  invalidateKeys(scope: ScopeState, keys: readonly string[]): void {
    for (const key of keys) {
      this.held.delete(entryId(scope, key));
      scope.flights.delete(key);
      for (const watch of scope.watches) watch.noteKey(key);
    }
  }

  invalidateTags(scope: ScopeState, tags: readonly string[]): void {
    for (const tag of tags) {
      const mark = scope.tags.get(tag);
      if (mark) mark.version++;
      for (const watch of scope.watches) watch.noteTag(tag);
    }
    for (const [key, flight] of scope.flights) if (flight.mayCarry(tags)) scope.flights.delete(key);
  }

  clear(tenantId: TenantId, namespace?: string): void {
    for (const state of this.scopesOfTenant.get(tenantId) ?? []) {
      if (namespace !== undefined && state.namespace !== namespace) continue;
      state.generation++;
      state.flights.clear();
      for (const watch of state.watches) watch.noteAll();
    }
  }

  private forget(state: ScopeState): void {
    state.generation++;
    state.retired = true;
    for (const watch of state.watches) watch.noteAll();
    const siblings = this.scopesOfTenant.get(state.tenantId);
    siblings?.delete(state);
    if (siblings?.size === 0) this.scopesOfTenant.delete(state.tenantId);
  }
}

function scopeId({ tenantId, namespace }: CacheScope): string {
  return `${tenantId}\0${namespace}`;
}

function entryId(scope: ScopeState, key: string): string {
  return `${scope.id}\0${key}`;
}

function isCurrent(held: HeldEntry, scope: ScopeState): boolean {
  if (held.scope !== scope || held.generation !== scope.generation) return false;
  const { marks, versions } = held;
  for (let index = 0; index < marks.length; index++)
    if (marks[index]?.version !== versions[index]) return false;
  return true;
}

function holdTag(scope: ScopeState, tag: string): TagMark {
  let mark = scope.tags.get(tag);
  if (!mark) {
    mark = { version: 0, holders: 0 };
    scope.tags.set(tag, mark);
  }
  mark.holders++;
  return mark;
}

function releaseTags({ scope, entry, marks }: HeldEntry): void {
  for (let index = 0; index < marks.length; index++) {
    const mark = marks[index];
    const tag = entry.tags[index];
    if (!mark || tag === undefined) continue;
    mark.holders--;
    if (mark.holders === 0 && scope.tags.get(tag) === mark) scope.tags.delete(tag);
  }
}
