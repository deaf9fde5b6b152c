import type { CachedValue } from '../cached-value.js';
import type { Listed, RecencyList } from './recency-list.js';
import type { ScopeState, TagMark } from './scope-state.js';

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

/** Estimated bytes of an entry's own bookkeeping: its object, its place in the scope's map, its promise. */
const OVERHEAD_BYTES = 300;
const BYTES_PER_TAG = 60;

/** A {@link MemoryEntry} in its place: the scope it belongs to and where in the order of eviction it stands. */
export class HeldEntry implements MemoryEntry, Listed<HeldEntry> {
  readonly value: CachedValue;
  readonly sequence: number;
  readonly loadMs: number;
  readonly confirmedUntil: number;
  readonly freshUntil: number;
  readonly goneAt: number;
  readonly earlyFrom: number;
  readonly trust: number;
  readonly tags: readonly string[];
  readonly bytes: number;
  /** Marks of the tags; none for an entry without tags. */
  readonly marks: readonly TagMark[] | undefined;
  private readonly versions: readonly number[] | undefined;
  private answer: Promise<unknown> | undefined;

  /** Region of its tenant's share; `undefined` once the entry is out of the tier. */
  list: RecencyList<HeldEntry> | undefined;
  newer: HeldEntry | undefined;
  older: HeldEntry | undefined;
  /** Hash of the key, once needed. */
  hash: number | undefined;
  /** Hits since the entry was last counted and moved, which happens when it is its turn to leave. */
  pendingHits = 0;
  /** Whether hits are shown to the shadow; see `AdaptiveWindow`. `undefined`: not found out yet. */
  watched: boolean | undefined;
  /** What the entry's fame has been spent on while it competes for a place; see `TenantShare.weakest`. */
  spentFame = 0;

  constructor(
    readonly scope: ScopeState,
    readonly key: string,
    entry: MemoryEntry,
  ) {
    this.value = entry.value;
    this.sequence = entry.sequence;
    this.loadMs = entry.loadMs;
    this.confirmedUntil = entry.confirmedUntil;
    this.freshUntil = entry.freshUntil;
    this.goneAt = entry.goneAt;
    this.earlyFrom = entry.earlyFrom;
    this.trust = entry.trust;
    this.tags = entry.tags;
    this.bytes = OVERHEAD_BYTES + entry.value.bytes + 2 * key.length + BYTES_PER_TAG * entry.tags.length;
    this.marks = entry.tags.length > 0 ? entry.tags.map((tag) => scope.holdTag(tag)) : undefined;
    this.versions = this.marks?.map((mark) => mark.version);
  }

  /** Whether one of its tags was invalidated since. */
  get isOutdated(): boolean {
    const { marks, versions } = this;
    if (marks === undefined || versions === undefined) return false;
    for (let index = 0; index < marks.length; index++)
      if (marks[index]!.version !== versions[index]) return true;
    return false;
  }

  /**
   * The value as a promise. Callers who share the value share the promise too, which is made once per entry. It
   * is not frozen, because Node's async hooks write to promises.
   */
  answerPromise(): Promise<unknown> {
    if (this.answer !== undefined) return this.answer;
    const promise = Promise.resolve(this.value.read());
    if (this.value.isShared) this.answer = promise;
    return promise;
  }

  releaseTags(): void {
    const { marks } = this;
    if (marks === undefined) return;
    for (let index = 0; index < marks.length; index++)
      this.scope.releaseTag(this.tags[index]!, marks[index]!);
  }
}
