import type { Clock } from '@sparkle/contracts';
import { OTHER } from './bounded-label.js';

const REVIEW_MS = 10_000;
const HALF_LIFE_MS = 60_000;
/** At least as long as Prometheus looks back for the newest sample of a series. */
const TENURE_MS = 300_000;
const MARGIN = 2;
const CANDIDATES_PER_PLACE = 4;
const FEWEST_CANDIDATES = 256;
const CALLS_PER_LOOK_AT_THE_CLOCK = 256;

interface Place {
  readonly pinned: boolean;
  readonly since: number;
  hits: number;
  /** Uses, of which those a half-life ago count half. */
  score: number;
}

/** Values that changed places in a review. */
export interface PlaceChange {
  readonly withdrawn: string;
  readonly admitted: string;
}

/**
 * Bounds the distinct values of a label to those used most; all others become `other`. While places are free the
 * first comers get them. From then on every 10 s, on the occasion of a use, a value that is used more than twice
 * as much as the least used holder takes over its place, so a heavy one that arrives late is seen by itself. A
 * holder keeps its place for at least 5 min, so that series do not come and go.
 *
 * Uses of values without a place are counted as by the frequent-items sketch of Anderson et al. (*A
 * High-Performance Algorithm for Identifying Frequent Items in Data Streams*, IMC 2017): a fixed number of
 * counters; when they run out, the median is taken off all of them. Counts are thus never too high.
 */
export class TopValues {
  private readonly places = new Map<string, Place>();
  private candidates = new Map<string, number>();
  private readonly capacity: number;
  private readonly maxCandidates: number;
  private reviewedAt: number;
  private untilLook = CALLS_PER_LOOK_AT_THE_CLOCK;

  /**
   * @param pinned values with a place in any case, in addition to `max` others.
   * @param changed is called when a value has taken another's place.
   */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly max: number,
    pinned: readonly string[],
    private readonly changed: (change: PlaceChange) => void,
  ) {
    this.reviewedAt = clock.monotonic();
    for (const value of pinned) this.places.set(value, this.newPlace(true));
    this.capacity = max + this.places.size;
    this.maxCandidates = Math.max(FEWEST_CANDIDATES, max * CANDIDATES_PER_PLACE);
  }

  /** Counts a use and gives the value, or `other` when it has no place. */
  fold(value: string): string {
    if (--this.untilLook === 0) this.review();
    const place = this.places.get(value);
    if (place) {
      place.hits += 1;
      return value;
    }
    return this.withoutPlace(value);
  }

  /** Gives places to values that are used more, if that is due. */
  review(): void {
    this.untilLook = CALLS_PER_LOOK_AT_THE_CLOCK;
    const now = this.clock.monotonic();
    const elapsed = now - this.reviewedAt;
    if (elapsed < REVIEW_MS) return;
    this.reviewedAt = now;
    const kept = 0.5 ** (elapsed / HALF_LIFE_MS);
    for (const place of this.places.values()) {
      place.score = place.score * kept + place.hits;
      place.hits = 0;
    }
    const faded = new Map<string, number>();
    for (const [value, score] of this.candidates) if (score * kept >= 1) faded.set(value, score * kept);
    this.candidates = faded;
    this.exchange(now);
  }

  private withoutPlace(value: string): string {
    if (this.max > 0 && this.places.size < this.capacity) {
      this.places.set(value, { ...this.newPlace(false), hits: 1 });
      return value;
    }
    if (this.max > 0) {
      this.candidates.set(value, (this.candidates.get(value) ?? 0) + 1);
      if (this.candidates.size > this.maxCandidates) this.dropRareCandidates();
    }
    return OTHER;
  }

  private dropRareCandidates(): void {
    const counts = Float64Array.from(this.candidates.values()).sort();
    const median = counts[counts.length >> 1]!;
    for (const [value, count] of this.candidates) {
      if (count > median) this.candidates.set(value, count - median);
      else this.candidates.delete(value);
    }
  }

  private exchange(now: number): void {
    if (this.candidates.size === 0) return;
    const risers = [...this.candidates].sort(([, left], [, right]) => right - left);
    const holders = [...this.places]
      .filter(([, { pinned, since }]) => !pinned && now - since >= TENURE_MS)
      .sort(([, left], [, right]) => left.score - right.score);
    for (const [index, [withdrawn, place]] of holders.entries()) {
      const riser = risers[index];
      if (riser === undefined || riser[1] <= place.score * MARGIN) return;
      const [admitted, score] = riser;
      this.places.delete(withdrawn);
      this.candidates.delete(admitted);
      this.places.set(admitted, { ...this.newPlace(false), score });
      this.changed({ withdrawn, admitted });
    }
  }

  private newPlace(pinned: boolean): Place {
    return { pinned, since: this.clock.monotonic(), hits: 0, score: 0 };
  }
}
