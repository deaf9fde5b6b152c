interface Entry<Value> {
  value: Value;
  expiresAtMs: number;
}

/**
 * A map whose entries end at a given time and whose size is bounded. Each write looks at an entry in turn, each
 * new one at two, and drops those that are over, so memory follows the live entries without a timer. Beyond
 * `maxEntries` the entry next in turn is dropped.
 */
export class ExpiringMap<Value> {
  private readonly entries = new Map<string, Entry<Value>>();

  constructor(private readonly maxEntries: number) {}

  get size(): number {
    return this.entries.size;
  }

  get(key: string, nowMs: number): Value | undefined {
    const entry = this.entries.get(key);
    return entry && entry.expiresAtMs > nowMs ? entry.value : undefined;
  }

  set(key: string, value: Value, expiresAtMs: number, nowMs: number): void {
    this.inspectNext(nowMs);
    const known = this.entries.get(key);
    if (known) {
      known.value = value;
      known.expiresAtMs = expiresAtMs;
      return;
    }
    this.inspectNext(nowMs);
    if (this.entries.size >= this.maxEntries) {
      const next = this.entries.keys().next();
      if (!next.done) this.entries.delete(next.value);
    }
    this.entries.set(key, { value, expiresAtMs });
  }

  delete(key: string): void {
    this.entries.delete(key);
  }

  private inspectNext(nowMs: number): void {
    const next = this.entries.entries().next();
    if (next.done) return;
    const [key, entry] = next.value;
    this.entries.delete(key);
    if (entry.expiresAtMs > nowMs) this.entries.set(key, entry);
  }
}
