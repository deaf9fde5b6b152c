import { AsyncLocalStorage } from 'node:async_hooks';
import { SparkleError } from './errors.js';

declare const tenantBrand: unique symbol;

/** A validated tenant name: 1–63 characters of `a-z 0-9 _ -`, starting with a letter or digit. */
export type TenantId = string & { readonly [tenantBrand]: true };

const TENANT_ID = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Thrown when a string is not a valid tenant name. */
export class TenantIdInvalidError extends SparkleError {
  readonly code = 'TENANT_ID_INVALID';

  constructor() {
    super('A tenant name is 1 to 63 characters of a-z, 0-9, "_" and "-", starting with a letter or digit.');
  }
}

/** Thrown when code that needs a tenant runs outside of a tenant context. */
export class TenantMissingError extends SparkleError {
  readonly code = 'TENANT_MISSING';

  constructor() {
    super('This operation needs a tenant and none is set.');
  }
}

/**
 * Checks a tenant name.
 * @throws TenantIdInvalidError when it is not one.
 */
export function parseTenantId(value: unknown): TenantId {
  if (typeof value !== 'string' || !TENANT_ID.test(value)) throw new TenantIdInvalidError();
  return value as TenantId;
}

/** Who is asking: the verified content of an access token. */
export interface Principal {
  readonly tenantId: TenantId;
  readonly userId: string;
  readonly scopes: readonly string[];
}

const storage = new AsyncLocalStorage<Principal>();

/** The caller of the work in progress, carried along asynchronous calls. */
export const TenantContext = {
  /** Runs `work` on behalf of `principal`. */
  run<T>(principal: Principal, work: () => T): T {
    return storage.run(principal, work);
  },

  /** The caller, or `undefined` outside of {@link TenantContext.run}. */
  current(): Principal | undefined {
    return storage.getStore();
  },

  /**
   * The caller.
   * @throws TenantMissingError outside of {@link TenantContext.run}.
   */
  require(): Principal {
    const principal = storage.getStore();
    if (!principal) throw new TenantMissingError();
    return principal;
  },
};
