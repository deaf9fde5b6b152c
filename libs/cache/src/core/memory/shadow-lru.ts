import type { Measure } from './memory-bounds.js';
import { type Listed, RecencyList } from './recency-list.js';

/** Entries of a shadow, at most, before it samples keys more thinly. */
const MAX_ENTRIES = 256;

class ShadowEntry implements Listed<ShadowEntry> {
  list: RecencyList<ShadowEntry> | undefined;
  newer: ShadowEntry | undefined;
  older: ShadowEntry | undefined;

  constructor(
    readonly hash: number,
    readonly bytes: number,
    public goneAt: number,
  ) {}
}

/**
 * What a plain least-recently-used cache of the same size would hit, estimated from a sample of the keys
 * (Waldspurger, Saemundsson, Ahmad, Park: "Cache Modeling and Optimization using Miniature Simulations", USENIX
 * ATC 2017). It holds hashes and no values; its own size is bounded by a constant.
 */
export class ShadowLru {
  private readonly byHash = new Map<number, ShadowEntry>();
  private readonly held = new RecencyList<ShadowEntry>();
  /** Keys with none of these bits in their hash are in the sample. */
  private mask = 0;

  get entries(): number {
    return this.held.entries;
  }

  samples(hash: number): boolean {
    return (hash & this.mask) === 0;
  }

  /** One request of a key in the sample. Whether it would have been a hit. */
  request(
    hash: number,
    { bytes, goneAt }: { readonly bytes: number; readonly goneAt: number },
    now: number,
  ): boolean {
    const held = this.byHash.get(hash);
    if (held && held.bytes === bytes) {
      const alive = now < held.goneAt;
      held.goneAt = goneAt;
      this.held.refresh(held);
      return alive;
    }
    if (held) this.held.remove(held);
    const entry = new ShadowEntry(hash, bytes, goneAt);
    this.byHash.set(hash, entry);
    this.held.add(entry);
    return held !== undefined && now < held.goneAt;
  }

  forget(hash: number): void {
    const entry = this.byHash.get(hash);
    if (entry === undefined) return;
    this.byHash.delete(hash);
    this.held.remove(entry);
  }

  /**
   * Drops what a cache with this much room would not hold.
   * @returns whether keys have come into the sample that were not in it before
   */
  fit(room: number, measure: Measure): boolean {
    const { held } = this;
    while (held.oldest && held[measure] * (this.mask + 1) > room) this.forget(held.oldest.hash);
    if (held.entries > MAX_ENTRIES) this.thinOut();
    if (this.mask === 0 || held.entries >= MAX_ENTRIES / 8) return false;
    this.mask >>>= 1;
    return true;
  }

  private thinOut(): void {
    this.mask = 2 * this.mask + 1;
    for (const hash of this.byHash.keys()) if (!this.samples(hash)) this.forget(hash);
  }
}
