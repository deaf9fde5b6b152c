import { Inject } from '@nestjs/common';
import { parseTenantId, TenantContext, type TenantId } from '@sparkle/contracts';
import { CacheService } from '../core/cache.service.js';
import type { CacheCallOptions } from '../core/cache-call.js';
import { jsonCodec } from '../core/value-codec.js';

type Method = (...args: never[]) => unknown;
type Result<M extends Method> = Awaited<ReturnType<M>>;

interface MethodScope<M extends Method> {
  readonly namespace: string;
  /** Default: the tenant of `TenantContext`; without one the call fails. */
  readonly tenant?: (...args: Parameters<M>) => TenantId;
}

export interface CachedOptions<M extends Method>
  extends MethodScope<M>,
    Omit<CacheCallOptions<Result<M>>, 'tags'> {
  /** Default: class, method and all arguments. */
  readonly key?: (...args: Parameters<M>) => string;
  /** Set when the result depends on who asks: the user of `TenantContext` becomes part of the key. */
  readonly perUser?: boolean;
  readonly tags?: (value: Result<M>, ...args: Parameters<M>) => readonly string[];
}

export interface CacheEvictOptions<M extends Method> extends MethodScope<M> {
  readonly keys?: (result: Result<M>, ...args: Parameters<M>) => readonly string[];
  readonly tags?: (result: Result<M>, ...args: Parameters<M>) => readonly string[];
  /** Clears the whole namespace. */
  readonly all?: boolean;
}

type MethodDecoratorOf<M extends Method> = (
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** Where the decorators have Nest put the cache on a provider. */
const CACHE = '__sparkleCache';
type Host = { readonly [CACHE]?: CacheService };

/**
 * Caches what a provider's method returns, per tenant. The method becomes asynchronous if it was not, and its
 * result frozen. Needs `CacheModule` in scope of the provider.
 * @throws TenantMissingError outside of a tenant context, unless `tenant` is given
 */
export function Cached<M extends (...args: never[]) => Promise<unknown>>(
  options: CachedOptions<M>,
): MethodDecoratorOf<M> {
  const { namespace, tenant, key, perUser = false, tags, ...call } = options;
  return (target, name, descriptor) => {
    Inject(CacheService)(target, CACHE);
    const original = implementation(descriptor);
    const prefix = `${target.constructor.name}.${String(name)}`;
    descriptor.value = function (this: Host, ...args: Parameters<M>) {
      const own = key ? key(...args) : `${prefix}(${jsonCodec.encode(args)})`;
      const user = perUser ? [TenantContext.require().userId] : [];
      return cacheOf(this).getOrSet(
        { tenantId: tenantOf(tenant, args), namespace },
        JSON.stringify([...user, own]),
        () => original.apply(this, args) as Promise<Result<M>>,
        { ...call, tags: tags ? (value: Result<M>) => tags(value, ...args) : [] },
      );
    } as unknown as M;
  };
}

/**
 * Invalidates after a provider's method has succeeded; a method that throws invalidates nothing. During an
 * outage of the second tier the invalidation is deferred, and the method's result still returned. Keys are those
 * of {@link cachedKey}.
 */
export function CacheEvict<M extends (...args: never[]) => Promise<unknown>>(
  options: CacheEvictOptions<M>,
): MethodDecoratorOf<M> {
  const { namespace, tenant, keys, tags, all = false } = options;
  return (target, _name, descriptor) => {
    Inject(CacheService)(target, CACHE);
    const original = implementation(descriptor);
    descriptor.value = async function (this: Host, ...args: Parameters<M>) {
      const scope = { tenantId: tenantOf(tenant, args), namespace };
      const result = (await original.apply(this, args)) as Result<M>;
      const cache = cacheOf(this);
      const [doomedKeys, doomedTags] = [keys?.(result, ...args) ?? [], tags?.(result, ...args) ?? []];
      await Promise.all([
        all && cache.clear(scope),
        doomedKeys.length > 0 && cache.delete(scope, doomedKeys),
        doomedTags.length > 0 && cache.deleteByTag(scope, doomedTags),
      ]);
      return result;
    } as unknown as M;
  };
}

/** The key under which {@link Cached} keeps what its `key` function names, for `CacheEvict` and direct use. */
export function cachedKey(key: string, userId?: string): string {
  return JSON.stringify(userId === undefined ? [key] : [userId, key]);
}

function implementation<M extends Method>(descriptor: TypedPropertyDescriptor<M>) {
  if (typeof descriptor.value !== 'function')
    throw new TypeError('@Cached and @CacheEvict decorate methods.');
  return descriptor.value as unknown as (...args: unknown[]) => unknown;
}

function cacheOf(host: Host): CacheService {
  const cache = host[CACHE];
  if (!cache)
    throw new TypeError(
      `${host.constructor.name} was not made by Nest, so its @Cached methods have no cache.`,
    );
  return cache;
}

function tenantOf<M extends Method>(
  tenant: ((...args: Parameters<M>) => TenantId) | undefined,
  args: Parameters<M>,
): TenantId {
  return tenant ? parseTenantId(tenant(...args)) : TenantContext.require().tenantId;
}
