import { AdaptiveWindow } from './adaptive-window.js';
import { FrequencySketch } from './frequency-sketch.js';
import type { HeldEntry } from './held-entry.js';
import { type HashSeed, hashKey } from './key-hash.js';
import type { Measure, MemoryAmount } from './memory-bounds.js';
import { RecencyList } from './recency-list.js';

/** Part of what is not in the window that hits protect. */
const PROTECTED_SHARE = 0.8;
const MIN_SKETCH_WIDTH = 64;
/** Entries moved at most in search of one to evict. */
const MAX_REWARDS = 64;

/**
 * One tenant's entries and the order in which they leave: W-TinyLFU (Einziger, Friedman, Manes: "TinyLFU: A
 * Highly Efficient Cache Admission Policy", ACM ToS 13(4), 2017). Newcomers enter a window. What falls out of it
 * is a candidate and competes with the entry of the main region that is next to go; the one asked for less often
 * lately leaves. The main region is a segmented LRU: a hit moves an entry from probation to protection.
 *
 * Requests are counted per tenant, so one tenant's traffic neither wears out nor inflates another's counts.
 */
export class TenantShare implements MemoryAmount {
  private readonly window = new RecencyList<HeldEntry>();
  private readonly probation = new RecencyList<HeldEntry>();
  private readonly protection = new RecencyList<HeldEntry>();
  private readonly adaptive = new AdaptiveWindow();
  private sketch: FrequencySketch | undefined;

  constructor(private readonly seed: HashSeed) {}

  get entries(): number {
    return this.window.entries + this.probation.entries + this.protection.entries;
  }

  get bytes(): number {
    return this.window.bytes + this.probation.bytes + this.protection.bytes;
  }

  /** Takes an entry in: in the place of the one it replaces, or else as a newcomer. */
  add(entry: HeldEntry, replaced: HeldEntry | undefined): void {
    if (!replaced?.list) {
      this.window.add(entry);
      return;
    }
    const region = replaced.list;
    region.remove(replaced);
    region.add(entry);
    entry.hash = replaced.hash;
    entry.watched = replaced.watched;
    entry.pendingHits = replaced.pendingHits + 1;
  }

  /** Counts a request that was no hit and has brought this newcomer. */
  recordMiss(entry: HeldEntry, measure: Measure, entitlement: number, now: number): void {
    this.count(entry, 1);
    if (this.watches(entry)) this.show(entry, false, measure, entitlement, now);
  }

  /** The window is in the order of use, at once; the main region is put in order when something has to leave it. */
  recordHit(entry: HeldEntry): void {
    if (entry.list === this.window) this.window.refresh(entry);
  }

  /** Whether hits of the entry are to be shown to the shadow. */
  watches(entry: HeldEntry): boolean {
    entry.watched ??= this.adaptive.watches(this.hashOf(entry));
    return entry.watched;
  }

  /** Shows a request of a watched entry to the shadow. */
  show(entry: HeldEntry, hit: boolean, measure: Measure, entitlement: number, now: number): void {
    const widened = this.adaptive.note(this.hashOf(entry), hit, entry, entitlement, measure, now);
    if (!widened) return;
    for (const region of [this.window, this.probation, this.protection])
      for (let each = region.oldest; each; each = each.newer) each.watched = undefined;
  }

  /** An entry of this share expired or was invalidated. */
  forget(entry: HeldEntry): void {
    if (entry.hash !== undefined) this.adaptive.forget(entry.hash);
  }

  /** How often an entry was asked for lately, 0 to 15. */
  fameOf(entry: HeldEntry): number {
    // It came when nothing was counted yet, and was asked for at least then.
    if (entry.hash === undefined) this.count(entry, 1);
    return this.sketch?.estimate(this.hashOf(entry)) ?? 0;
  }

  /** The newcomer that has had its time in the window, if the window is fuller than it may be. */
  candidate(measure: Measure, entitlement: number): HeldEntry | undefined {
    const { window } = this;
    const oneEntry = this[measure] / this.entries;
    const room = Math.max(oneEntry, this.adaptive.share * entitlement);
    if (window[measure] <= room) return undefined;
    const candidate = window.oldest;
    if (candidate) this.countPending(candidate);
    return candidate;
  }

  /** Whether it would have hit more with the room it is entitled to. */
  get wantsRoom(): boolean {
    return this.adaptive.wantsRoom;
  }

  /** Gives a candidate its place. */
  accept(candidate: HeldEntry): void {
    candidate.spentFame = 0;
    this.window.remove(candidate);
    this.probation.add(candidate);
  }

  /**
   * The entry to evict next. A candidate stays if it is asked for more often than everything it drives out
   * together, so that a large newcomer does not displace many small entries worth more (aggregated victims, after
   * Einziger, Eytan, Friedman, Manes: "Lightweight Robust Size Aware Cache Management", ACM ToS 18(3), 2022).
   */
  weakest(candidate: HeldEntry | undefined, measure: Measure, now: number): HeldEntry | undefined {
    const resident = this.resident(measure);
    if (candidate === undefined) return resident ?? this.window.oldest;
    if (resident === undefined || isWorthless(candidate, now)) return candidate;
    if (isWorthless(resident, now)) return resident;
    const fame = this.fameOf(resident);
    if (this.fameOf(candidate) - candidate.spentFame <= fame) return candidate;
    candidate.spentFame += fame;
    return resident;
  }

  /** The entry of the main region that is next to go. */
  private resident(measure: Measure): HeldEntry | undefined {
    const { window, probation, protection } = this;
    const onTrial = this.unused(probation, (entry) => {
      probation.remove(entry);
      protection.add(entry);
      const room = PROTECTED_SHARE * (this[measure] - window[measure]);
      if (protection[measure] <= room) return;
      const demoted = this.unused(protection, (used) => protection.refresh(used));
      if (!demoted || demoted === entry) return;
      protection.remove(demoted);
      probation.add(demoted);
    });
    return onTrial ?? this.unused(protection, (entry) => protection.refresh(entry));
  }

  /**
   * The oldest entry of a region without hits since it was last moved. Those before it are counted and moved as
   * `reward` says: late, but in the order in which they would have to leave, so a hit itself costs no more than
   * raising a number.
   */
  private unused(region: RecencyList<HeldEntry>, reward: (entry: HeldEntry) => void): HeldEntry | undefined {
    for (let moves = 0; moves < MAX_REWARDS; moves++) {
      const entry = region.oldest;
      if (entry === undefined || entry.pendingHits === 0) return entry;
      this.countPending(entry);
      reward(entry);
    }
    return region.oldest;
  }

  private countPending(entry: HeldEntry): void {
    if (entry.pendingHits > 0) this.count(entry, entry.pendingHits);
    entry.pendingHits = 0;
  }

  private count(entry: HeldEntry, requests: number): void {
    this.sketch ??= new FrequencySketch(this.fittingWidth());
    const halved = this.sketch.record(this.hashOf(entry), requests);
    const { width } = this.sketch;
    if (this.entries > width || (halved && 4 * this.entries < width)) this.sketch.resize(this.fittingWidth());
  }

  /** The smallest power of two that is not below the number of entries. */
  private fittingWidth(): number {
    return Math.max(MIN_SKETCH_WIDTH, 2 ** Math.ceil(Math.log2(Math.max(1, this.entries))));
  }

  private hashOf(entry: HeldEntry): number {
    entry.hash ??= hashKey(entry.key, this.seed) ^ Math.imul(entry.scope.number, 0x9e3779b1);
    return entry.hash;
  }
}

function isWorthless(entry: HeldEntry, now: number): boolean {
  return now >= entry.goneAt || entry.isOutdated;
}
