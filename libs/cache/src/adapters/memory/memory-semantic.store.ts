import { type Clock, type Random, SystemClock, SystemRandom, type TenantId } from '@sparkle/contracts';
import type {
  PurgeMark,
  SemanticCandidate,
  SemanticEntry,
  SemanticEntryToStore,
  SemanticPartition,
  SemanticStore,
  StoredSemanticEntry,
  Tightening,
} from '../../ports/semantic-store.port.js';
import { SemanticVectorIndex } from './semantic-vector.index.js';

export interface MemorySemanticStoreOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /**
   * Entries kept over all tenants. Over it, the tenant with most entries loses the one it has not used for
   * longest. Default 20,000, about 60 MB at 512 dimensions.
   */
  readonly maxEntries?: number;
  /** Breadth of a search, from 8. Default 64. */
  readonly breadth?: number;
}

interface HeldEntry extends Omit<SemanticEntryToStore, 'ttlMs' | 'asOf' | 'answer'> {
  readonly id: string;
  readonly digest: string;
  /** Absent once evicted; the threshold stays. */
  readonly answer: string | undefined;
  readonly expiresAt: number;
}

/** What one tenant has. */
class TenantEntries {
  /** By partition and canonical question; the one used longest ago comes first. */
  readonly byKey = new Map<string, HeldEntry>();
  readonly byId = new Map<string, HeldEntry>();
  readonly byDocument = new Map<string, Set<HeldEntry>>();
  readonly partitions = new Map<string, SemanticVectorIndex<HeldEntry>>();
  /** When each document was purged last. */
  readonly purges = new Map<string, { readonly mark: number; readonly expiresAt: number }>();

  constructor(private readonly random: Random) {}

  add(held: HeldEntry): void {
    this.byKey.set(keyOf(held), held);
    this.byId.set(held.id, held);
    if (held.answer === undefined) return;
    for (const document of held.documentIds) {
      const made = this.byDocument.get(document) ?? new Set();
      made.add(held);
      this.byDocument.set(document, made);
    }
    const index = this.partitions.get(held.digest) ?? new SemanticVectorIndex(this.random);
    index.set(held, held.embedding);
    this.partitions.set(held.digest, index);
  }

  remove(held: HeldEntry): void {
    this.byKey.delete(keyOf(held));
    this.byId.delete(held.id);
    for (const document of held.documentIds) {
      const made = this.byDocument.get(document);
      made?.delete(held);
      if (made?.size === 0) this.byDocument.delete(document);
    }
    const index = this.partitions.get(held.digest);
    index?.delete(held);
    if (index?.size === 0) this.partitions.delete(held.digest);
  }

  /** Makes it the one used last. */
  touch(held: HeldEntry): void {
    this.byKey.delete(keyOf(held));
    this.byKey.set(keyOf(held), held);
  }

  get isEmpty(): boolean {
    return this.byKey.size === 0 && this.purges.size === 0;
  }
}

/** How long a purge is remembered: longer than it takes to make an answer. */
const PURGE_KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * Answers in this process, for tests and applications of one process without PostgreSQL. Searches by a graph of
 * the partition's vectors, never by looking at all of them; storing takes about a millisecond.
 */
export class MemorySemanticStore implements SemanticStore {
  private readonly tenants = new Map<TenantId, TenantEntries>();
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly maxEntries: number;
  private readonly breadth: number;
  private held = 0;
  private ids = 0;
  private mark = 0;

  constructor(options: MemorySemanticStoreOptions = {}) {
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
    this.maxEntries = Math.max(1, options.maxEntries ?? 20_000);
    this.breadth = options.breadth ?? 64;
  }

  /** Entries held at the moment, of all tenants. */
  get size(): number {
    return this.held;
  }

  async findExact(
    { tenantId, digest }: SemanticPartition,
    canonicalHash: string,
  ): Promise<SemanticEntry | undefined> {
    const entries = this.tenants.get(tenantId);
    const held = entries?.byKey.get(keyOf({ digest, canonicalHash }));
    const entry = held && this.alive(held);
    if (entry) entries?.touch(held);
    return entry;
  }

  async search(
    { tenantId, digest }: SemanticPartition,
    embedding: Float32Array,
    limit: number,
  ): Promise<SemanticCandidate[]> {
    const entries = this.tenants.get(tenantId);
    const index = entries?.partitions.get(digest);
    if (!entries || !index) return [];
    for (;;) {
      const found = index.search(embedding, limit, this.breadth);
      const expired = found.filter(({ item }) => this.isExpired(item));
      if (expired.length === 0)
        return found.flatMap(({ item, similarity }) => {
          const entry = this.alive(item);
          return entry ? [{ ...entry, similarity }] : [];
        });
      for (const { item } of expired) index.delete(item);
    }
  }

  async purgeMark(): Promise<PurgeMark> {
    return String(this.mark);
  }

  async store(
    partition: SemanticPartition,
    entry: SemanticEntryToStore,
  ): Promise<StoredSemanticEntry | undefined> {
    const { tenantId, digest } = partition;
    const { ttlMs, asOf, ...rest } = entry;
    const entries = this.entriesOf(tenantId);
    if (
      asOf !== undefined &&
      entry.documentIds.some((id) => (entries.purges.get(id)?.mark ?? 0) > Number(asOf))
    )
      return undefined;
    const previous = entries.byKey.get(keyOf({ digest, canonicalHash: entry.canonicalHash }));
    const known = previous && !this.isExpired(previous) ? previous : undefined;
    if (previous) this.remove(entries, previous);
    const held: HeldEntry = {
      ...rest,
      digest,
      id: known?.id ?? `memory-${++this.ids}`,
      threshold: Math.max(entry.threshold, known?.threshold ?? 0),
      expiresAt: this.clock.monotonic() + ttlMs,
    };
    this.add(this.entriesOf(tenantId), held);
    return held;
  }

  async evictAndTighten(
    tenantId: TenantId,
    id: string,
    { by, above }: Tightening,
    keepMs: number,
  ): Promise<boolean> {
    const entries = this.tenants.get(tenantId);
    const held = entries?.byId.get(id);
    if (!entries || !held || this.isExpired(held)) return false;
    this.remove(entries, held);
    this.add(this.entriesOf(tenantId), {
      ...held,
      answer: undefined,
      threshold: Math.min(1, Math.max(held.threshold, above) + by),
      expiresAt: this.clock.monotonic() + keepMs,
    });
    return true;
  }

  async purgeByDocument(tenantId: TenantId, documentId: string): Promise<number> {
    const entries = this.entriesOf(tenantId);
    entries.purges.delete(documentId);
    entries.purges.set(documentId, {
      mark: ++this.mark,
      expiresAt: this.clock.monotonic() + PURGE_KEPT_MS,
    });
    this.forgetPurges(entries);
    const doomed = [...(entries.byDocument.get(documentId) ?? [])];
    for (const held of doomed) this.remove(entries, held);
    return doomed.length;
  }

  async removeExpired(tenantId: TenantId): Promise<number> {
    const entries = this.tenants.get(tenantId);
    if (!entries) return 0;
    this.forgetPurges(entries);
    const doomed = [...entries.byKey.values()].filter((held) => this.isExpired(held));
    for (const held of doomed) this.remove(entries, held);
    if (entries.isEmpty) this.tenants.delete(tenantId);
    return doomed.length;
  }

  /** They stand in the order of their expiry. */
  private forgetPurges({ purges }: TenantEntries): void {
    for (const [document, { expiresAt }] of purges) {
      if (this.clock.monotonic() < expiresAt) break;
      purges.delete(document);
    }
  }

  private entriesOf(tenantId: TenantId): TenantEntries {
    let entries = this.tenants.get(tenantId);
    if (!entries) {
      entries = new TenantEntries(this.random);
      this.tenants.set(tenantId, entries);
    }
    return entries;
  }

  private add(entries: TenantEntries, held: HeldEntry): void {
    entries.add(held);
    this.held += 1;
    while (this.held > this.maxEntries) this.makeRoom();
  }

  private remove(entries: TenantEntries, held: HeldEntry): void {
    entries.remove(held);
    this.held -= 1;
  }

  private makeRoom(): void {
    let largest: TenantEntries | undefined;
    for (const entries of this.tenants.values())
      if (!largest || entries.byKey.size > largest.byKey.size) largest = entries;
    const [oldest] = largest?.byKey.values() ?? [];
    if (largest && oldest) this.remove(largest, oldest);
  }

  private isExpired(held: HeldEntry): boolean {
    return this.clock.monotonic() >= held.expiresAt;
  }

  private alive(held: HeldEntry): SemanticEntry | undefined {
    if (held.answer === undefined || this.isExpired(held)) return undefined;
    const { id, question, answer, threshold, documentIds } = held;
    return {
      id,
      question,
      answer,
      threshold,
      documentIds,
      remainingMs: held.expiresAt - this.clock.monotonic(),
    };
  }
}

function keyOf({ digest, canonicalHash }: Pick<HeldEntry, 'digest' | 'canonicalHash'>): string {
  return `${digest}\0${canonicalHash}`;
}
