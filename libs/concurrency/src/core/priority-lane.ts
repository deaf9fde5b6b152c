export interface LaneEntry {
  readonly tenantId: string;
  readonly queuedAtMs: number;
}

/**
 * What waits in one class: tenants take turns, first come first served within one. Every operation but
 * {@link newestOfLongest} takes constant time, because maps and sets keep the order of insertion. A turn
 * costs nobody who leaves: unlike with start-time fair queueing there are no tags that a cancelled entry
 * could have used up.
 */
export class PriorityLane<Entry extends LaneEntry> {
  /** In the order of turns; no tenant is empty. */
  private readonly tenants = new Map<string, Set<Entry>>();
  private readonly byAge = new Set<Entry>();

  get size(): number {
    return this.byAge.size;
  }

  get oldest(): Entry | undefined {
    const { value } = this.byAge.values().next();
    return value;
  }

  sizeOf(tenantId: string): number {
    return this.tenants.get(tenantId)?.size ?? 0;
  }

  push(entry: Entry): void {
    this.byAge.add(entry);
    const own = this.tenants.get(entry.tenantId);
    if (own) own.add(entry);
    else this.tenants.set(entry.tenantId, new Set([entry]));
  }

  /** Takes the first entry of the tenant whose turn it is; the tenant's next turn comes after all others'. */
  take(): Entry | undefined {
    const turn = this.tenants.entries().next();
    if (turn.done) return undefined;
    const [tenantId, own] = turn.value;
    const [entry] = own;
    this.tenants.delete(tenantId);
    own.delete(entry!);
    this.byAge.delete(entry!);
    if (own.size > 0) this.tenants.set(tenantId, own);
    return entry;
  }

  /** Does nothing when the entry has gone already. */
  remove(entry: Entry): void {
    if (!this.byAge.delete(entry)) return;
    const own = this.tenants.get(entry.tenantId);
    own?.delete(entry);
    if (own?.size === 0) this.tenants.delete(entry.tenantId);
  }

  /** The entry queued last by the tenant with the most of them, or by the tenant named. */
  newestOfLongest(tenantId?: string): Entry | undefined {
    let longest: ReadonlySet<Entry> | undefined;
    if (tenantId !== undefined) longest = this.tenants.get(tenantId);
    else {
      for (const own of this.tenants.values()) if (own.size > (longest?.size ?? 0)) longest = own;
    }
    return longest && [...longest].at(-1);
  }

  *[Symbol.iterator](): IterableIterator<Entry> {
    yield* this.byAge;
  }
}
