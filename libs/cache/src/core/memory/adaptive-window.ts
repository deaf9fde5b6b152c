import type { Measure } from './memory-bounds.js';
import { ShadowLru } from './shadow-lru.js';

const SMALLEST = 0.01;
/** Sampled requests between two adjustments, at least. */
const SHORTEST_PERIOD = 64;
/** Part of a period's requests by which the shadow has to be ahead. */
const TOLERANCE = 0.01;
const GROWTH = 2;
const SMALLEST_STEP = 0.05;
const DECAY = 0.95;

/**
 * How much of its room a tenant's newcomers may fill before they have to prove themselves, from 1 % to all of it.
 * Choosing by frequency is right while the same things stay popular, and wrong while popularity moves on. So the
 * cache is compared with a shadow, a plain LRU of the size the tenant is entitled to. Where the shadow hits more,
 * the window grows fast, up to being that LRU; otherwise it shrinks slowly. Hence the hit rate is never much below
 * that of LRU.
 */
export class AdaptiveWindow {
  private readonly shadow = new ShadowLru();
  private current = SMALLEST;
  /** Hits more than the shadow's in this period. */
  private lead = 0;
  private requests = 0;
  /** Misses of the cache in this period that the shadow would have answered. */
  private regrets = 0;
  private couldUseRoom = false;

  /** Whether more room would have brought hits: not so for a tenant that asks for everything once. */
  get wantsRoom(): boolean {
    return this.couldUseRoom;
  }

  /** Between 0.01 and 1. */
  get share(): number {
    return this.current;
  }

  /** Whether the requests of a key are to be noted. */
  watches(hash: number): boolean {
    return this.shadow.samples(hash);
  }

  /**
   * Notes a request of a watched key.
   * @param room of the cache the shadow stands for
   * @returns whether keys are watched from now on that were not before
   */
  note(
    hash: number,
    hit: boolean,
    entry: { readonly bytes: number; readonly goneAt: number },
    room: number,
    measure: Measure,
    now: number,
  ): boolean {
    const { shadow } = this;
    if (!shadow.samples(hash)) return false;
    const shadowHit = shadow.request(hash, entry, now);
    const widened = shadow.fit(room, measure);
    this.lead += Number(hit) - Number(shadowHit);
    this.requests++;
    if (shadowHit && !hit) this.regrets++;
    if (this.requests >= Math.max(SHORTEST_PERIOD, shadow.entries)) this.adjust();
    return widened;
  }

  /** An entry is gone for a reason that has nothing to do with room. */
  forget(hash: number): void {
    this.shadow.forget(hash);
  }

  private adjust(): void {
    const behind = -this.lead / this.requests;
    if (behind > TOLERANCE)
      this.current = Math.min(1, GROWTH * this.current + Math.max(SMALLEST_STEP, behind));
    else if (behind <= 0) this.current = Math.max(SMALLEST, DECAY * this.current);
    this.couldUseRoom = this.regrets > TOLERANCE * this.requests;
    this.lead = 0;
    this.requests = 0;
    this.regrets = 0;
  }
}
