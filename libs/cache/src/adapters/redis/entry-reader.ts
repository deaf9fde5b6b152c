import type { Clock } from '@sparkle/contracts';
import { Cluster } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { parseCounter, parseMark, parseStoredEntry } from '../../lua/entry-format.js';
import type { RedisConnection } from '../../lua/redis-script.js';
import { readTime } from '../../lua/scripts.js';
import type { StoredEntry, StoredPayload, StoreReading, StoreScope } from '../../ports/cache-store.port.js';
import type { RedisKeys, ScopeKeys } from './redis-keys.js';
import { ServerClock } from './server-clock.js';

interface Request {
  readonly scope: StoreScope;
  readonly keys: readonly string[];
  resolve(reading: StoreReading): void;
  reject(error: unknown): void;
}

/** Keys asked for with one command; more would hold up other clients of the server. */
const MAX_KEYS = 1_000;
/** Entries whose tags are remembered. */
const MAX_LEARNED = 10_000;
/** Tenants of a cluster whose servers' clocks are remembered. */
const MAX_CLOCKS = 10_000;

/**
 * Reads entries with plain `MGET`s and judges here whether an invalidation has made them invalid. Everything
 * asked for in one tick travels in one command: on a single server all tenants', on a cluster each tenant's.
 *
 * One `MGET` is one moment of the server: counter, namespace mark, entries, and the marks of the tags those
 * entries are known to carry are seen together. An entry with a tag that was not known has its mark read
 * afterwards. That is as good: marks only grow, and one that was lost comes back above the sequence of every
 * entry that an invalidation may have concerned, so a mark that is not above the entry's sequence later was not
 * above it at the moment the entry was read either. The entry was valid then, and that moment lies within the
 * call.
 */
export class EntryReader {
  private readonly pending = new Map<string, Request[]>();
  private readonly learned = new LRUCache<string, readonly string[]>({ max: MAX_LEARNED });
  /** By group; a tenant's on a cluster. */
  private readonly clocks = new LRUCache<string, ServerClock>({ max: MAX_CLOCKS });
  private readonly clustered: boolean;

  constructor(
    private readonly connection: RedisConnection,
    private readonly names: RedisKeys,
    private readonly clock: Clock,
  ) {
    this.clustered = connection instanceof Cluster;
  }

  read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading> {
    return new Promise((resolve, reject) => {
      const group = this.clustered ? scope.tenantId : '';
      const request = { scope, keys, resolve, reject };
      const pending = this.pending.get(group);
      if (pending) {
        pending.push(request);
        return;
      }
      this.pending.set(group, [request]);
      queueMicrotask(() => this.flush(group));
    });
  }

  /** Notes an entry's tags, so that its next read brings their marks along. */
  learnTags(scope: StoreScope, key: string, tags: readonly string[]): void {
    const name = this.names.entry(scope, key);
    if (tags.length > 0) this.learned.set(name, tags);
    else if (this.learned.size > 0) this.learned.delete(name);
  }

  private flush(group: string): void {
    const requests = this.pending.get(group) ?? [];
    this.pending.delete(group);
    let together: Request[] = [];
    let size = 0;
    for (const request of requests) {
      if (size > 0 && size + request.keys.length > MAX_KEYS) {
        void this.answer(group, together);
        together = [];
        size = 0;
      }
      together.push(request);
      size += request.keys.length;
    }
    void this.answer(group, together);
  }

  private async answer(group: string, requests: readonly Request[]): Promise<void> {
    try {
      const batch = new Batch(requests, this.names, this.learned);
      const replies = this.connection.mgetBuffer(batch.keys);
      const now = this.serverTime(group, batch.keys[0] as string);
      if (typeof now === 'number') batch.judge(await replies, now);
      else {
        const [values, asked] = await Promise.all([replies, now]);
        batch.judge(values, asked);
      }
      const marks = batch.unknownMarks;
      if (marks.length > 0) batch.judgeSuspects(await this.connection.mgetBuffer(marks));
      batch.deliver();
    } catch (error) {
      // The next answer may come from another server.
      this.clocks.delete(group);
      for (const { reject } of requests) reject(error);
    }
  }

  private serverTime(group: string, key: string): number | Promise<number> {
    let clock = this.clocks.get(group);
    if (!clock) {
      clock = new ServerClock(this.clock);
      this.clocks.set(group, clock);
    }
    return clock.estimate() ?? clock.ask(() => readTime.run(this.connection, [key]));
  }
}

type Replies = readonly (Buffer | null)[];
type Found = StoredEntry<StoredPayload> | undefined;

/** Where the answer to one request stands among the replies. Its counter and mark come right before its entries. */
interface Placed {
  readonly request: Request;
  readonly names: ScopeKeys;
  readonly entriesAt: number;
  readonly entries: Found[];
  sequence: number;
  unreadable: number;
}

/** An entry that is valid unless the mark of one of its tags says otherwise. */
interface Suspect {
  readonly entries: Found[];
  readonly index: number;
  readonly sequence: number;
  readonly marks: readonly string[];
}

/** The requests of one `MGET`: its keys, and what its reply means to each of them. */
class Batch {
  readonly keys: string[] = [];
  /** Marks of tags that turned up only with the entries. */
  readonly unknownMarks: string[] = [];
  private readonly placed: Placed[] = [];
  /** Where the marks of tags stand that were known beforehand. */
  private knownMarks: Map<string, number> | undefined;
  private suspects: Suspect[] | undefined;

  constructor(
    requests: readonly Request[],
    names: RedisKeys,
    private readonly learned: LRUCache<string, readonly string[]>,
  ) {
    for (const request of requests) this.place(request, names.ofScope(request.scope));
  }

  judge(replies: Replies, now: number): void {
    for (const placed of this.placed) {
      const { entriesAt, entries } = placed;
      const counter = parseCounter(replies[entriesAt - 2]);
      const mark = parseMark(replies[entriesAt - 1]);
      placed.sequence = counter?.sequence ?? 0;
      const floor = counter && mark !== undefined ? Math.max(counter.cleared, mark) : undefined;
      for (let index = 0; index < placed.request.keys.length; index++) {
        const text = replies[entriesAt + index];
        const entry = text && floor !== undefined ? parseStoredEntry(text, now) : undefined;
        const valid = entry && entry.sequence >= (floor as number) && entry.goneMs > 0;
        entries.push(valid ? entry : undefined);
        if (text && floor !== undefined && !entry) placed.unreadable++;
        if (valid && entry.tags.length > 0) this.judgeTags(placed, index, entry, replies);
      }
    }
  }

  /** With the replies for {@link unknownMarks}. */
  judgeSuspects(replies: Replies): void {
    const marks = new Map(this.unknownMarks.map((name, index) => [name, parseMark(replies[index])]));
    for (const { entries, index, sequence, marks: needed } of this.suspects ?? [])
      if (!needed.every((name) => isCurrent(marks.get(name), sequence))) entries[index] = undefined;
  }

  deliver(): void {
    for (const { request, sequence, entries, unreadable } of this.placed)
      request.resolve({ sequence, entries, unreadable });
  }

  private place(request: Request, names: ScopeKeys): void {
    const all = this.keys;
    const entriesAt = all.push(names.counter, names.mark);
    for (const key of request.keys) all.push(names.entries + key);
    this.placed.push({ request, names, entriesAt, entries: [], sequence: 0, unreadable: 0 });
    if (this.learned.size === 0) return;
    this.knownMarks ??= new Map();
    for (let index = 0; index < request.keys.length; index++) {
      const tags = this.learned.get(all[entriesAt + index] as string);
      if (!tags) continue;
      for (const tag of tags) {
        const mark = names.tagMarks + tag;
        if (!this.knownMarks.has(mark)) this.knownMarks.set(mark, all.push(mark) - 1);
      }
    }
  }

  private judgeTags(
    { names, entries, entriesAt }: Placed,
    index: number,
    { sequence, tags }: NonNullable<Found>,
    replies: Replies,
  ): void {
    const unknown: string[] = [];
    for (const tag of tags) {
      const mark = names.tagMarks + tag;
      const position = this.knownMarks?.get(mark);
      if (position === undefined) unknown.push(mark);
      else if (!isCurrent(parseMark(replies[position]), sequence)) {
        entries[index] = undefined;
        return;
      }
    }
    if (unknown.length === 0) return;
    this.learned.set(this.keys[entriesAt + index] as string, tags);
    this.unknownMarks.push(...unknown);
    this.suspects ??= [];
    this.suspects.push({ entries, index, sequence, marks: unknown });
  }
}

function isCurrent(mark: number | undefined, sequence: number): boolean {
  return mark !== undefined && mark <= sequence;
}
