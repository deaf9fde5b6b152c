import { type Clock, type Random, SystemClock, SystemRandom, type TenantId } from '@sparkle/contracts';
import { Cluster } from 'ioredis';
import type { RedisConnection } from '../../lua/redis-script.js';
import * as scripts from '../../lua/scripts.js';
import type {
  Announcement,
  CacheStore,
  DetachedPayload,
  EntryToWrite,
  LeaseOutcome,
  LeaseRequest,
  Payload,
  StoreReading,
  StoreScope,
  WriteOutcome,
} from '../../ports/cache-store.port.js';
import { clusterSlot } from './cluster-slot.js';
import { EntryReader } from './entry-reader.js';
import { RedisKeys } from './redis-keys.js';
import { uniqueId } from './unique-id.js';

export interface RedisCacheStoreOptions {
  /** First part of every key. Default `sparkle:cache`. */
  readonly keyPrefix?: string | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** How long a version counter lives that an invalidation had to make anew. */
const NEW_COUNTER_MS = 60_000;
/** Payloads above this are kept under a key of their own, so that they hold up nobody else's read. */
const INLINE_BYTES = 128 * 1024;
/** Entries removed with one script call: what Lua takes as arguments of one command, with room. */
const MAX_REMOVED = 1_000;
/** Three centuries: what Redis accepts as a time to live on top of any date. */
const LONGEST_MS = 1e13;
const NEWLINE = 10;

/**
 * The second tier on Redis ≥ 7 or Valkey, single, Sentinel or Cluster. All keys of a tenant share the hash tag
 * `{tenant}`: a tenant lives on one shard, different tenants spread. The connection is the caller's: it should
 * fail fast when the server is gone (`enableOfflineQueue: false` or a small `maxRetriesPerRequest`).
 *
 * Changes are Lua scripts. Reads are plain `MGET`s, judged here: see {@link EntryReader}.
 */
export class RedisCacheStore implements CacheStore {
  readonly partOf?: (tenantId: TenantId) => string;
  private readonly keys: RedisKeys;
  private readonly reader: EntryReader;
  private readonly id: string;
  private detachedCount = 0;

  /** @throws CacheOptionsInvalidError */
  constructor(
    private readonly connection: RedisConnection,
    { keyPrefix = 'sparkle:cache', clock, random }: RedisCacheStoreOptions = {},
  ) {
    this.keys = new RedisKeys(keyPrefix);
    this.reader = new EntryReader(connection, this.keys, clock ?? new SystemClock());
    this.id = uniqueId(random ?? new SystemRandom());
    if (connection instanceof Cluster)
      this.partOf = (tenantId) => connection.slots[clusterSlot(tenantId)]?.[0] ?? 'no node';
  }

  get publishesThrough(): object {
    return this.connection;
  }

  read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading> {
    return this.reader.read(scope, keys);
  }

  async readDetached(
    scope: StoreScope,
    key: string,
    { ref, text, bytes }: DetachedPayload,
  ): Promise<Payload | undefined> {
    const kept = await this.connection.getBuffer(this.keys.detached(scope, key));
    if (!kept) return undefined;
    const start = kept.subarray(0, 100).indexOf(NEWLINE) + 1;
    if (kept.toString('latin1', 0, start) !== `${ref}\n` || kept.length - start !== bytes) return undefined;
    return text ? kept.toString('utf8', start) : kept.subarray(start);
  }

  async acquireLease(scope: StoreScope, key: string, request: LeaseRequest): Promise<LeaseOutcome> {
    const { keys } = this;
    return scripts.acquireLease.run(
      this.connection,
      [keys.counter(scope.tenantId), keys.mark(scope), keys.entry(scope, key), keys.lease(scope, key)],
      milliseconds(request.leaseMs),
      request.since ?? '',
      request.newerThan,
      ...request.tags,
    );
  }

  renewLease(scope: StoreScope, key: string, token: number, leaseMs: number): Promise<boolean> {
    const { keys } = this;
    return scripts.renewLease.run(
      this.connection,
      [keys.counter(scope.tenantId), keys.mark(scope), keys.lease(scope, key)],
      token,
      milliseconds(leaseMs),
    );
  }

  async releaseLease(
    scope: StoreScope,
    key: string,
    token: number,
    failure?: { readonly reason: string; readonly keepMs: number },
    announcement?: Announcement,
  ): Promise<void> {
    await scripts.releaseLease.run(
      this.connection,
      [this.keys.counter(scope.tenantId), this.keys.lease(scope, key)],
      token,
      failure ? milliseconds(failure.keepMs) : 0,
      // The script's reply is told apart by its first line.
      failure?.reason.replaceAll('\n', ' ') ?? '',
      ...newsOf(announcement),
    );
  }

  async write(
    scope: StoreScope,
    key: string,
    entry: EntryToWrite<Payload>,
    token?: number,
    announcement?: Announcement,
  ): Promise<WriteOutcome> {
    const { keys } = this;
    const ttlMs = milliseconds(entry.ttlMs);
    const graceMs = milliseconds(entry.graceMs);
    const { form, inline } = await this.place(scope, key, entry.payload, ttlMs + graceMs);
    this.reader.learnTags(scope, key, entry.tags);
    return scripts.writeEntry.run(
      this.connection,
      [
        keys.counter(scope.tenantId),
        keys.mark(scope),
        keys.entry(scope, key),
        keys.lease(scope, key),
        keys.detached(scope, key),
      ],
      token ?? '',
      ttlMs,
      graceMs,
      milliseconds(entry.loadMs),
      entry.negative ? 1 : 0,
      form,
      inline,
      ...newsOf(announcement),
      ...entry.tags,
    );
  }

  async remove(scope: StoreScope, keys: readonly string[], announcement?: Announcement): Promise<void> {
    for (let start = 0; start < keys.length; start += MAX_REMOVED) {
      const last = start + MAX_REMOVED >= keys.length;
      const names = keys
        .slice(start, start + MAX_REMOVED)
        .flatMap((key) => [
          this.keys.entry(scope, key),
          this.keys.lease(scope, key),
          this.keys.detached(scope, key),
        ]);
      await scripts.removeEntries.run(this.connection, names, ...newsOf(last ? announcement : undefined));
    }
  }

  async invalidateTags(
    scope: StoreScope,
    tags: readonly string[],
    announcement?: Announcement,
  ): Promise<void> {
    if (tags.length === 0) return;
    const keys = [this.keys.counter(scope.tenantId), this.keys.mark(scope)];
    await scripts.invalidateTags.run(this.connection, keys, NEW_COUNTER_MS, ...newsOf(announcement), ...tags);
  }

  async clear(tenantId: TenantId, namespace?: string, announcement?: Announcement): Promise<void> {
    const counter = this.keys.counter(tenantId);
    const mark = namespace === undefined ? counter : this.keys.mark({ tenantId, namespace });
    await scripts.clearScope.run(
      this.connection,
      [counter, mark],
      NEW_COUNTER_MS,
      namespace === undefined ? 'tenant' : 'namespace',
      ...newsOf(announcement),
    );
  }

  async ping(tenantId?: TenantId): Promise<void> {
    if (tenantId === undefined) await this.connection.ping();
    else await this.connection.exists(this.keys.counter(tenantId));
  }

  /** Keeps a large payload under its own key, where it counts only once the entry refers to it. */
  private async place(scope: StoreScope, key: string, payload: Payload, lifeMs: number) {
    const text = typeof payload === 'string';
    const bytes = text ? Buffer.byteLength(payload) : payload.length;
    if (bytes <= INLINE_BYTES) return { form: text ? 't' : 'b', inline: payload };
    const ref = `${this.id}-${(this.detachedCount++).toString(36)}`;
    const kept = Buffer.allocUnsafe(ref.length + 1 + bytes);
    const start = kept.write(`${ref}\n`, 'latin1');
    if (text) kept.write(payload, start, 'utf8');
    else payload.copy(kept, start);
    await this.connection.set(this.keys.detached(scope, key), kept, 'PX', lifeMs);
    return { form: `${text ? 'T' : 'B'}${bytes}.${ref}`, inline: '' };
  }
}

function newsOf(announcement: Announcement | undefined): [channel: string, text: string] {
  return announcement ? [announcement.channel, announcement.text] : ['', ''];
}

function milliseconds(duration: number): number {
  return Math.min(Math.ceil(duration), LONGEST_MS);
}
