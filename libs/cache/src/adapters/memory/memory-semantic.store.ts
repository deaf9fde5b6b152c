import { type Clock, SystemClock, type TenantId } from '@sparkle/contracts';
import { LRUCache } from 'lru-cache';
import type {
  SemanticCandidate,
  SemanticEntry,
  SemanticEntryToStore,
  SemanticPartition,
  SemanticStore,
} from '../../ports/semantic-store.port.js';

interface HeldEntry {
  readonly id: string;
  readonly tenantId: TenantId;
  readonly partition: string;
  readonly canonicalHash: string;
  readonly question: string;
  readonly embedding: Float32Array;
  readonly documentIds: readonly string[];
  /** Absent once evicted; the threshold stays. */
  readonly answer: string | undefined;
  readonly threshold: number;
  readonly expiresAt: number;
}

/**
 * Answers in this process, for embedded mode and tests. A search compares with the entries of one partition
 * only, of which at most `maxEntriesPerPartition` are kept, so that its cost is bounded.
 */
export class MemorySemanticStore implements SemanticStore {
  private readonly partitions: LRUCache<string, LRUCache<string, HeldEntry>>;
  private count = 0;

  constructor(
    private readonly clock: Clock = new SystemClock(),
    private readonly maxEntriesPerPartition = 2_000,
    maxPartitions = 1_000,
  ) {
    this.partitions = new LRUCache({ max: maxPartitions });
  }

  async findExact(partition: SemanticPartition, canonicalHash: string): Promise<SemanticEntry | undefined> {
    const held = this.partitions.get(partitionKey(partition))?.get(canonicalHash);
    return held && this.alive(held);
  }

  async search(
    partition: SemanticPartition,
    embedding: Float32Array,
    limit: number,
  ): Promise<SemanticCandidate[]> {
    const candidates: SemanticCandidate[] = [];
    for (const held of this.partitions.get(partitionKey(partition))?.values() ?? []) {
      const entry = this.alive(held);
      if (entry) candidates.push({ ...entry, similarity: dot(held.embedding, embedding) });
    }
    return candidates.sort((left, right) => right.similarity - left.similarity).slice(0, limit);
  }

  async store(partition: SemanticPartition, entry: SemanticEntryToStore): Promise<string> {
    const key = partitionKey(partition);
    let entries = this.partitions.get(key);
    if (!entries) {
      entries = new LRUCache({ max: this.maxEntriesPerPartition });
      this.partitions.set(key, entries);
    }
    const previous = entries.peek(entry.canonicalHash);
    const known = previous && this.clock.monotonic() < previous.expiresAt ? previous : undefined;
    const { ttlMs, ...rest } = entry;
    const held: HeldEntry = {
      ...rest,
      id: known?.id ?? `memory-${++this.count}`,
      tenantId: partition.tenantId,
      partition: key,
      threshold: Math.max(entry.threshold, known?.threshold ?? 0),
      expiresAt: this.clock.monotonic() + ttlMs,
    };
    entries.set(entry.canonicalHash, held);
    return held.id;
  }

  async evictAndTighten(tenantId: TenantId, id: string, threshold: number, keepMs: number): Promise<boolean> {
    for (const held of this.ofTenant(tenantId)) {
      if (held.id !== id || this.clock.monotonic() >= held.expiresAt) continue;
      this.partitions.peek(held.partition)?.set(held.canonicalHash, {
        ...held,
        answer: undefined,
        threshold: Math.max(held.threshold, threshold),
        expiresAt: this.clock.monotonic() + keepMs,
      });
      return true;
    }
    return false;
  }

  purgeByDocument(tenantId: TenantId, documentId: string): Promise<number> {
    return this.removeWhere(tenantId, (held) => held.documentIds.includes(documentId));
  }

  removeExpired(tenantId: TenantId): Promise<number> {
    const now = this.clock.monotonic();
    return this.removeWhere(tenantId, (held) => now >= held.expiresAt);
  }

  private async removeWhere(tenantId: TenantId, matches: (held: HeldEntry) => boolean): Promise<number> {
    const doomed = [...this.ofTenant(tenantId)].filter(matches);
    for (const held of doomed) this.partitions.peek(held.partition)?.delete(held.canonicalHash);
    return doomed.length;
  }

  private *ofTenant(tenantId: TenantId): Generator<HeldEntry> {
    for (const entries of this.partitions.values())
      for (const held of entries.values()) if (held.tenantId === tenantId) yield held;
  }

  private alive(held: HeldEntry): SemanticEntry | undefined {
    const remainingMs = held.expiresAt - this.clock.monotonic();
    if (held.answer === undefined || remainingMs <= 0) return undefined;
    const { id, question, answer, threshold, documentIds } = held;
    return { id, question, answer, threshold, documentIds, remainingMs };
  }
}

function partitionKey({ tenantId, digest }: SemanticPartition): string {
  return `${tenantId}\0${digest}`;
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += (left[index] ?? 0) * (right[index] ?? 0);
  return sum;
}
