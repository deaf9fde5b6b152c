/** What {@link ThreadTurns} knows of a tenant. */
export interface TurnTaker {
  /** Threads that work for the tenant now. */
  busy: number;
  /** Threads it may keep busy. */
  share: number;
  /** Whether it has tasks that wait. */
  readonly wants: boolean;
}

/**
 * Whose turn it is when a thread can be given away: the tenant with the fewest busy threads, and of those the one
 * that has been in that position for longest. This is max-min fairness in whole threads: nobody gets one more
 * while somebody with fewer waits.
 */
export class ThreadTurns<Taker extends TurnTaker> {
  /** Tenants that want a thread and may have one more, by how many they keep busy. */
  private readonly waiting: Set<Taker>[] = [];
  private busy = 0;

  /**
   * @param threads how many may be busy at once
   * @param reserved how many of them go only to tenants that keep none busy
   */
  constructor(
    private readonly threads: number,
    private readonly reserved: number,
  ) {}

  get busyThreads(): number {
    return this.busy;
  }

  /**
   * The tenants that may have a thread now, the one whose turn it is first.
   * @param pausing threads that are not busy but kept for their tenants: nobody's further one takes their place
   */
  *next(pausing: number): Generator<Taker, void> {
    for (const [busy, takers] of this.waiting.entries()) {
      const taken = busy === 0 ? this.busy : this.busy + pausing + this.reserved;
      if (taken >= this.threads) return;
      if (takers) yield* takers;
    }
  }

  /** Takes note that the tenant keeps one thread more (`1`) or less (`-1`) busy. */
  count(taker: Taker, change: 1 | -1): void {
    this.forget(taker);
    taker.busy += change;
    this.busy += change;
    this.place(taker);
  }

  /** Takes note that the tenant's wishes or its share have changed; its place among equals stays. */
  place(taker: Taker): void {
    if (taker.wants && taker.busy < taker.share) {
      this.waiting[taker.busy] ??= new Set();
      this.waiting[taker.busy]?.add(taker);
    } else {
      this.forget(taker);
    }
  }

  private forget(taker: Taker): void {
    this.waiting[taker.busy]?.delete(taker);
  }
}
