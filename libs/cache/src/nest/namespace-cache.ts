import { Inject } from '@nestjs/common';
import { TenantContext, type TenantId } from '@sparkle/contracts';
import type { CachePolicy } from '../cache.options.js';
import type { CacheNamespace, CacheService } from '../core/cache.service.js';

/** A namespace registered with `CacheModule.forFeature`. */
export interface NamespaceFeature {
  readonly name: string;
  /** Defaults of the namespace. */
  readonly policy?: Partial<CachePolicy>;
}

/** One namespace, waiting to be told the tenant. */
export class NamespaceCache {
  constructor(
    private readonly cache: CacheService,
    private readonly feature: NamespaceFeature,
  ) {}

  /** The namespace of a tenant. */
  of(tenantId: TenantId): CacheNamespace {
    return this.cache.namespace({ tenantId, namespace: this.feature.name }, this.feature.policy);
  }

  /**
   * The namespace of the tenant in context.
   * @throws TenantMissingError
   */
  current(): CacheNamespace {
    return this.of(TenantContext.require().tenantId);
  }
}

const tokens = new Map<string, symbol>();

/** Injection token of a registered namespace. */
export function namespaceToken(name: string): symbol {
  const token = tokens.get(name) ?? Symbol(`NamespaceCache(${name})`);
  tokens.set(name, token);
  return token;
}

/** Injects the {@link NamespaceCache} of that name. */
export const InjectNamespaceCache = (name: string) => Inject(namespaceToken(name));
