import type { TenantId } from '@sparkle/contracts';
import { CacheOptionsInvalidError } from '../../errors.js';
import type { RedisConnection } from '../../lua/redis-script.js';
import * as scripts from '../../lua/scripts.js';
import type {
  CacheStore,
  EntryToWrite,
  LeaseOutcome,
  LeaseRequest,
  StoreReading,
  StoreScope,
  WriteOutcome,
} from '../../ports/cache-store.port.js';

export interface RedisCacheStoreOptions {
  /** First part of every key. Default `sparkle:cache`. */
  readonly keyPrefix?: string;
}

/** How long a version counter lives that an invalidation had to make anew. */
const NEW_COUNTER_MS = 60_000;
const KEY_PREFIX = /^[A-Za-z0-9_.:-]{1,64}$/;

/**
 * The second tier on Redis ≥ 7 or Valkey, single, Sentinel or Cluster. All keys of a tenant share the hash tag
 * `{tenant}`: a tenant lives on one shard, different tenants spread. The connection is the caller's: it should
 * fail fast when the server is gone (`enableOfflineQueue: false` or a small `maxRetriesPerRequest`).
 */
export class RedisCacheStore implements CacheStore {
  private readonly prefix: string;

  /** @throws CacheOptionsInvalidError */
  constructor(
    private readonly connection: RedisConnection,
    { keyPrefix = 'sparkle:cache' }: RedisCacheStoreOptions = {},
  ) {
    if (!KEY_PREFIX.test(keyPrefix))
      throw new CacheOptionsInvalidError([
        'keyPrefix: must be 1 to 64 characters of letters, digits, "_", ".", ":" and "-"',
      ]);
    this.prefix = keyPrefix;
  }

  read(scope: StoreScope, keys: readonly string[]): Promise<StoreReading> {
    return scripts.readEntries.run(this.connection, [
      this.versions(scope.tenantId),
      this.mark(scope),
      ...keys.map((key) => this.entry(scope, key)),
    ]);
  }

  acquireLease(scope: StoreScope, key: string, request: LeaseRequest): Promise<LeaseOutcome> {
    return scripts.acquireLease.run(
      this.connection,
      [this.versions(scope.tenantId), this.mark(scope), this.entry(scope, key), this.lease(scope, key)],
      Math.ceil(request.leaseMs),
      request.since,
      request.newerThan,
      ...request.tags,
    );
  }

  renewLease(scope: StoreScope, key: string, token: number, leaseMs: number): Promise<boolean> {
    return scripts.renewLease.run(
      this.connection,
      [this.versions(scope.tenantId), this.mark(scope), this.lease(scope, key)],
      token,
      Math.ceil(leaseMs),
    );
  }

  async releaseLease(
    scope: StoreScope,
    key: string,
    token: number,
    failure?: { readonly reason: string; readonly keepMs: number },
  ): Promise<void> {
    await scripts.releaseLease.run(
      this.connection,
      [this.versions(scope.tenantId), this.lease(scope, key)],
      token,
      failure ? Math.ceil(failure.keepMs) : 0,
      // The script's reply is told apart by its first line.
      failure?.reason.replaceAll('\n', ' ') ?? '',
    );
  }

  write(scope: StoreScope, key: string, entry: EntryToWrite, token?: number): Promise<WriteOutcome> {
    return scripts.writeEntry.run(
      this.connection,
      [this.versions(scope.tenantId), this.mark(scope), this.entry(scope, key), this.lease(scope, key)],
      token ?? '',
      Math.ceil(entry.ttlMs),
      Math.ceil(entry.graceMs),
      Math.ceil(entry.loadMs),
      entry.negative ? 1 : 0,
      entry.payload,
      ...entry.tags,
    );
  }

  async remove(scope: StoreScope, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.connection.unlink(keys.flatMap((key) => [this.entry(scope, key), this.lease(scope, key)]));
  }

  async invalidateTags(scope: StoreScope, tags: readonly string[]): Promise<void> {
    if (tags.length === 0) return;
    const keys = [this.versions(scope.tenantId), this.mark(scope)];
    await scripts.invalidateTags.run(this.connection, keys, NEW_COUNTER_MS, ...tags);
  }

  async clear(tenantId: TenantId, namespace?: string): Promise<void> {
    const versions = this.versions(tenantId);
    const mark = namespace === undefined ? versions : this.mark({ tenantId, namespace });
    await scripts.clearScope.run(
      this.connection,
      [versions, mark],
      NEW_COUNTER_MS,
      namespace === undefined ? 'tenant' : 'namespace',
    );
  }

  async ping(): Promise<void> {
    await this.connection.ping();
  }

  private versions(tenantId: TenantId): string {
    return `${this.prefix}:{${tenantId}}:v`;
  }

  private mark({ tenantId, namespace }: StoreScope): string {
    return `${this.prefix}:{${tenantId}}:m:${namespace}`;
  }

  private entry({ tenantId, namespace }: StoreScope, key: string): string {
    return `${this.prefix}:{${tenantId}}:e:${namespace}:${key}`;
  }

  private lease({ tenantId, namespace }: StoreScope, key: string): string {
    return `${this.prefix}:{${tenantId}}:l:${namespace}:${key}`;
  }
}
