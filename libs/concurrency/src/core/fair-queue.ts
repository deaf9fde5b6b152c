/** A caller in a {@link FairQueue}. */
export interface QueuedCaller {
  readonly id: string;
  readonly tenantId: string;
}

interface QueuedEntry extends QueuedCaller {
  readonly tag: number;
  readonly ticket: number;
}

interface TenantTags {
  /** Tag of the tenant's next caller. */
  next: number;
  /** Tag after its last served caller. */
  served: number;
  waiting: number;
}

/**
 * A queue that takes turns between tenants and is first come, first served within one: start-time fair
 * queueing (Goyal, Vin and Cheng, 1996), every caller weighing the same. `lua/includes/permit-pool.lua` is the
 * same algorithm.
 */
export class FairQueue {
  private readonly entries: QueuedEntry[] = [];
  private readonly tenants = new Map<string, TenantTags>();
  private turn = 0;
  private ticket = 0;

  get length(): number {
    return this.entries.length;
  }

  has(id: string): boolean {
    return this.entries.some((entry) => entry.id === id);
  }

  push(caller: QueuedCaller): void {
    const tag = this.nextTag(caller.tenantId);
    this.ticket += 1;
    const entry = { ...caller, tag, ticket: this.ticket };
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.entries[middle]!.tag <= tag) low = middle + 1;
      else high = middle;
    }
    this.entries.splice(low, 0, entry);
    this.tagsOf(caller.tenantId).waiting += 1;
  }

  /** Takes the caller whose turn it is. */
  shift(): QueuedCaller | undefined {
    const entry = this.entries.shift();
    if (!entry) return undefined;
    this.takeTurn(entry.tenantId, entry.tag);
    this.forget(entry.tenantId);
    return entry;
  }

  /** Takes a caller out of the queue; `false` when it is not in it. */
  remove(id: string): boolean {
    const index = this.entries.findIndex((entry) => entry.id === id);
    if (index < 0) return false;
    const [entry] = this.entries.splice(index, 1);
    this.forget(entry!.tenantId);
    return true;
  }

  private tagsOf(tenantId: string): TenantTags {
    let tags = this.tenants.get(tenantId);
    if (!tags) {
      tags = { next: 0, served: 0, waiting: 0 };
      this.tenants.set(tenantId, tags);
    }
    return tags;
  }

  private nextTag(tenantId: string): number {
    const tags = this.tagsOf(tenantId);
    const tag = Math.max(this.turn, tags.next);
    tags.next = tag + 1;
    return tag;
  }

  private takeTurn(tenantId: string, tag: number): void {
    this.turn = Math.max(this.turn, tag);
    this.tagsOf(tenantId).served = tag + 1;
  }

  /** A tenant's last waiter has gone: tags that were given to cancelled waiters no longer hold it back. */
  private forget(tenantId: string): void {
    const tags = this.tagsOf(tenantId);
    tags.waiting -= 1;
    if (tags.waiting > 0) return;
    tags.next = tags.served;
    if (tags.served <= this.turn) this.tenants.delete(tenantId);
  }
}
