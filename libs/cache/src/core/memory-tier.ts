import type { Clock, Random, TenantId } from '@sparkle/contracts';
import type { CacheScope } from './cache-scope.js';
import { HeaviestFirst } from './memory/heaviest-first.js';
import { HeldEntry, type MemoryEntry } from './memory/held-entry.js';
import type { HashSeed } from './memory/key-hash.js';
import {
  exceeded,
  type Measure,
  type MemoryAmount,
  type MemoryBounds,
  scarcest,
} from './memory/memory-bounds.js';
import { InvalidationWatch, ScopeState } from './memory/scope-state.js';
import { TenantShare } from './memory/tenant-share.js';

export type { HeldEntry, MemoryEntry } from './memory/held-entry.js';
export type { InvalidationWatch, ScopeState } from './memory/scope-state.js';

export interface MemoryTierOptions extends MemoryBounds {
  /** Scopes kept track of; one not used lately is forgotten with its entries. */
  readonly maxScopes: number;
}

/** Hits of watched entries that are shown to the shadows together. */
const HIT_BUFFER = 256;
/** Cleared entries removed along with each new entry, and at once when a scope is cleared. */
const RECLAIMED_PER_PUT = 16;
const RECLAIMED_PER_CLEAR = 1_000;

/**
 * The first tier: entries of this process, bounded by number and by bytes over all tenants.
 *
 * - **Fair shares.** What has to leave comes from the tenant that has most of whatever ran out (max-min
 *   fairness), so a tenant within its fair share, the bound divided by the number of tenants with entries, loses
 *   nothing to another. Beyond a small window, only a tenant that would have hit more with more room takes some
 *   from others, until it holds as much as they do.
 * - **Scan resistance.** Within a tenant's share the entries asked for least leave first; see `TenantShare`.
 * - **Invalidating** a tag, namespace or tenant costs the same however many entries it concerns: tags have
 *   versions, a cleared scope gets a new map, and what became outdated is removed bit by bit.
 *
 * Misses are counted only once the tier is half full: until then nothing competes for room.
 */
export class MemoryTier implements MemoryAmount {
  private readonly tenants = new Map<TenantId, Map<string, ScopeState>>();
  private readonly shares = new Map<TenantId, TenantShare>();
  /** Counts the scopes made: a coarse time for telling which scopes are in use. */
  epoch = 0;
  /** Every scope, in the order of `placedIn`, which is brought up to date when a scope is to be forgotten. */
  private readonly scopes = new Set<ScopeState>();
  private readonly heaviest = {
    entries: new HeaviestFirst<TenantShare>((share) => share.entries),
    bytes: new HeaviestFirst<TenantShare>((share) => share.bytes),
  };
  private readonly watchedHits: HeldEntry[] = [];
  /** What is left of cleared scopes. */
  private readonly cleared: Iterator<HeldEntry>[] = [];
  private readonly seed: HashSeed;
  private competing = false;
  private heldEntries = 0;
  private heldBytes = 0;

  constructor(
    private readonly options: MemoryTierOptions,
    private readonly clock: Clock,
    random: Random,
    private readonly onEvicted: (scope: CacheScope) => void,
  ) {
    this.seed = { low: random.next() * 2 ** 32, high: random.next() * 2 ** 32 };
  }

  get entries(): number {
    return this.heldEntries;
  }

  get bytes(): number {
    return this.heldBytes;
  }

  /** The scope's state if this process has used it. */
  known(scope: CacheScope): ScopeState | undefined {
    return this.tenants.get(scope?.tenantId)?.get(scope.namespace);
  }

  scope(scope: CacheScope): ScopeState {
    const known = this.known(scope);
    if (known) {
      known.usedIn = this.epoch;
      return known;
    }
    let namespaces = this.tenants.get(scope.tenantId);
    if (!namespaces) {
      namespaces = new Map();
      this.tenants.set(scope.tenantId, namespaces);
    }
    let share = this.shares.get(scope.tenantId);
    if (!share) {
      share = new TenantShare(this.seed);
      this.shares.set(scope.tenantId, share);
    }
    const state = new ScopeState(scope, share, ++this.epoch);
    state.usedIn = state.placedIn = this.epoch;
    namespaces.set(scope.namespace, state);
    this.scopes.add(state);
    if (this.scopes.size > this.options.maxScopes) this.forgetOne();
    return state;
  }

  /** An entry that is valid as far as this process knows, fresh or stale. */
  lookup(scope: ScopeState, key: string, now: number, quietly = false): HeldEntry | undefined {
    const held = scope.entries.get(key);
    if (held === undefined) return undefined;
    if (now < held.goneAt && !held.isOutdated) {
      if (!quietly) this.noteHit(held);
      return held;
    }
    if (!quietly) this.drop(held);
    return undefined;
  }

  /** Counts a hit of an entry for what to keep. */
  noteHit(held: HeldEntry): void {
    held.pendingHits++;
    if (!this.competing) return;
    const { share } = held.scope;
    share.recordHit(held);
    if (!share.watches(held)) return;
    this.watchedHits.push(held);
    if (this.watchedHits.length === HIT_BUFFER) this.showHits();
  }

  put(scope: ScopeState, key: string, entry: MemoryEntry): void {
    if (entry.goneAt <= this.clock.monotonic()) return;
    this.reclaim(RECLAIMED_PER_PUT);
    const held = new HeldEntry(scope, key, entry);
    const replaced = scope.entries.get(key);
    if (held.bytes > this.options.maxBytes) {
      held.releaseTags();
      if (replaced) this.drop(replaced);
      return;
    }
    const { share } = scope;
    share.add(held, replaced);
    scope.entries.set(key, held);
    replaced?.releaseTags();
    this.account(share, replaced ? 0 : 1, held.bytes - (replaced?.bytes ?? 0));
    if (this.competing && !replaced) {
      this.showHits();
      const measure = scarcest(this, this.options);
      share.recordMiss(held, measure, this.entitlement(share, measure), this.clock.monotonic());
    }
    this.makeRoom(share);
  }

  watch(scope: ScopeState): InvalidationWatch {
    return new InvalidationWatch(scope.watches);
  }

  /** Drops entries; loads in progress go on for those who wait, and newcomers start afresh. */
  invalidateKeys(scope: ScopeState, keys: readonly string[]): void {
    for (const key of keys) {
      const held = scope.entries.get(key);
      if (held) this.drop(held);
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
    for (const state of this.tenants.get(tenantId)?.values() ?? []) {
      if (namespace !== undefined && state.namespace !== namespace) continue;
      state.flights.clear();
      this.empty(state);
    }
    this.reclaim(RECLAIMED_PER_CLEAR);
  }

  private empty(state: ScopeState): void {
    for (const watch of state.watches) watch.noteAll();
    if (state.entries.size === 0) return;
    this.cleared.push(state.entries.values());
    state.entries = new Map();
  }

  /** Forgets the scope that was not used for longest. */
  private forgetOne(): void {
    for (const state of this.scopes) {
      this.scopes.delete(state);
      if (state.usedIn > state.placedIn) {
        state.placedIn = state.usedIn;
        this.scopes.add(state);
        continue;
      }
      state.retired = true;
      this.empty(state);
      const namespaces = this.tenants.get(state.tenantId);
      namespaces?.delete(state.namespace);
      if (namespaces?.size === 0) {
        this.tenants.delete(state.tenantId);
        this.shares.delete(state.tenantId);
      }
      this.reclaim(RECLAIMED_PER_CLEAR);
      return;
    }
  }

  private showHits(): void {
    const now = this.clock.monotonic();
    const measure = scarcest(this, this.options);
    for (const held of this.watchedHits) {
      if (held.list === undefined) continue;
      const { share } = held.scope;
      share.show(held, true, measure, this.entitlement(share, measure), now);
    }
    this.watchedHits.length = 0;
  }

  /** Evicts until the bounds hold again, and settles which of a tenant's newcomers stay. */
  private makeRoom(share: TenantShare): void {
    const now = this.clock.monotonic();
    for (let short = exceeded(this, this.options); short; short = exceeded(this, this.options)) {
      if (this.reclaim(1)) continue;
      const giver = this.heaviest[short].heaviest!;
      const candidate = share.candidate(short, this.entitlement(share, short));
      let leaving: HeldEntry | undefined;
      if (giver === share || (candidate && !share.wantsRoom)) leaving = share.weakest(candidate, short, now);
      else {
        if (candidate) share.accept(candidate);
        leaving = giver.weakest(giver.candidate(short, giver[short]), short, now);
      }
      if (!leaving) return;
      this.remove(leaving);
      this.onEvicted(leaving.scope);
    }
    const measure = scarcest(this, this.options);
    const entitlement = this.entitlement(share, measure);
    for (let next = share.candidate(measure, entitlement); next; next = share.candidate(measure, entitlement))
      share.accept(next);
  }

  /**
   * How much a tenant may hold if it has use for it: its fair share at least, and as much as would make it and
   * the heaviest tenant equal.
   */
  private entitlement(share: TenantShare, measure: Measure): number {
    const { heaviest, size } = this.heaviest[measure];
    const bound = measure === 'bytes' ? this.options.maxBytes : this.options.maxEntries;
    return Math.max(bound / Math.max(1, size), (share[measure] + (heaviest?.[measure] ?? 0)) / 2);
  }

  /** Takes out an entry that expired or was invalidated. */
  private drop(held: HeldEntry): void {
    held.scope.share.forget(held);
    this.remove(held);
  }

  private remove(held: HeldEntry): void {
    if (held.list === undefined) return;
    held.list.remove(held);
    held.releaseTags();
    const { scope, key } = held;
    if (scope.entries.get(key) === held) scope.entries.delete(key);
    this.account(scope.share, -1, -held.bytes);
  }

  /** Removes up to `count` cleared entries. False when there were none. */
  private reclaim(count: number): boolean {
    let removed = 0;
    for (let rest = this.cleared[0]; rest && removed < count; rest = this.cleared[0]) {
      const next = rest.next();
      if (next.done) this.cleared.shift();
      else if (next.value.list) {
        this.drop(next.value);
        removed++;
      }
    }
    return removed > 0;
  }

  private account(share: TenantShare, entries: number, bytes: number): void {
    this.heldEntries += entries;
    this.heldBytes += bytes;
    const { maxEntries, maxBytes } = this.options;
    this.competing = 2 * this.heldEntries > maxEntries || 2 * this.heldBytes > maxBytes;
    if (share.entries === 0) {
      this.heaviest.entries.remove(share);
      this.heaviest.bytes.remove(share);
    } else {
      this.heaviest.entries.update(share);
      this.heaviest.bytes.update(share);
    }
  }
}
