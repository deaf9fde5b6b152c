import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { CacheOptionsInvalidError } from '../../errors.js';
import type { StoreScope } from '../../ports/cache-store.port.js';

/** What follows the prefix: tenant, kind, namespace, and the key or tag. */
const KEY = /^([a-z0-9][a-z0-9_-]{0,62})\}:([a-z])(?::([^:]+)(?::(.+))?)?$/s;
const KEY_PREFIX = /^[A-Za-z0-9_.:-]{1,64}$/;

export type ParsedKey =
  | { readonly kind: 'counter'; readonly tenantId: TenantId }
  /** Of a namespace, or of one of its tags. */
  | {
      readonly kind: 'mark';
      readonly tenantId: TenantId;
      readonly namespace: string;
      readonly tag: string | undefined;
    }
  | { readonly kind: 'entry'; readonly tenantId: TenantId; readonly namespace: string; readonly key: string };

/** What the keys of one scope have in common. */
export interface ScopeKeys {
  /** The tenant's counter; see `includes/versions.lua`. */
  readonly counter: string;
  /** The namespace's mark. */
  readonly mark: string;
  /** What a tag's mark is called, up to the tag. */
  readonly tagMarks: string;
  /** What an entry is called, up to its key. */
  readonly entries: string;
}

/** Names of the second tier's keys in Redis. All of a tenant share the hash tag `{tenant}`. */
export class RedisKeys {
  private readonly scopes = new WeakMap<StoreScope, ScopeKeys>();

  /** @throws CacheOptionsInvalidError */
  constructor(private readonly prefix: string) {
    if (!KEY_PREFIX.test(prefix))
      throw new CacheOptionsInvalidError([
        'keyPrefix: must be 1 to 64 characters of letters, digits, "_", ".", ":" and "-"',
      ]);
  }

  counter(tenantId: TenantId): string {
    return `${this.prefix}:{${tenantId}}:c`;
  }

  mark({ tenantId, namespace }: StoreScope): string {
    return `${this.prefix}:{${tenantId}}:m:${namespace}`;
  }

  entry({ tenantId, namespace }: StoreScope, key: string): string {
    return `${this.prefix}:{${tenantId}}:e:${namespace}:${key}`;
  }

  /** Made once per scope object: reads need them every time. */
  ofScope(scope: StoreScope): ScopeKeys {
    let keys = this.scopes.get(scope);
    if (!keys) {
      const mark = this.mark(scope);
      keys = {
        counter: this.counter(scope.tenantId),
        mark,
        tagMarks: `${mark}:`,
        entries: this.entry(scope, ''),
      };
      this.scopes.set(scope, keys);
    }
    return keys;
  }

  lease({ tenantId, namespace }: StoreScope, key: string): string {
    return `${this.prefix}:{${tenantId}}:l:${namespace}:${key}`;
  }

  /** A payload too large to be read along with others. */
  detached({ tenantId, namespace }: StoreScope, key: string): string {
    return `${this.prefix}:{${tenantId}}:d:${namespace}:${key}`;
  }

  /** First part of every key. */
  get common(): string {
    return `${this.prefix}:{`;
  }

  /** What a key of this prefix is; `undefined` for leases, detached payloads and what is not the cache's. */
  parse(name: string): ParsedKey | undefined {
    if (!name.startsWith(this.common)) return undefined;
    const [, tenant, kind, namespace, rest] = KEY.exec(name.slice(this.common.length)) ?? [];
    if (tenant === undefined) return undefined;
    const tenantId = parseTenantId(tenant);
    if (kind === 'c' && namespace === undefined) return { kind: 'counter', tenantId };
    if (namespace === undefined) return undefined;
    if (kind === 'm') return { kind: 'mark', tenantId, namespace, tag: rest };
    return kind === 'e' && rest !== undefined ? { kind: 'entry', tenantId, namespace, key: rest } : undefined;
  }
}
