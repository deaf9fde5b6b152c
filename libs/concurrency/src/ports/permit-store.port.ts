import type { TenantId } from '@sparkle/contracts';

/** Which counter of permits is meant, and its bounds. */
export interface PermitPool {
  /** Cluster-wide identity: every process that names the same id shares the permits. */
  readonly id: string;
  /** How many permits may be held at once. */
  readonly permits: number;
  /** Lease of a permit, milliseconds of the store's time. */
  readonly leaseMs: number;
}

export interface PermitRequest {
  readonly pool: PermitPool;
  readonly tenantId: TenantId;
  /** `<ownerId>:<unique>`; names the waiter first and the permit later. Asking again changes nothing. */
  readonly permitId: string;
  /** `false`: do not queue. */
  readonly wait: boolean;
  /** Bound of the queue. */
  readonly maxWaiting: number;
}

export interface Grant {
  readonly permitId: string;
  /** Strictly greater than that of every earlier grant of the pool. */
  readonly fencingToken: number;
  /** The store's time at which the lease ends, milliseconds. */
  readonly expiresAtMs: number;
}

export type AcquireReply =
  | { readonly outcome: 'granted'; readonly nowMs: number; readonly grant: Grant }
  | { readonly outcome: 'queued'; readonly nowMs: number; readonly nextExpiryMs: number | undefined }
  | { readonly outcome: 'busy'; readonly nowMs: number }
  | { readonly outcome: 'full'; readonly nowMs: number };

export interface SweepReply {
  readonly nowMs: number;
  /** Milliseconds until the next lease of the pool ends; `undefined` when nothing is held. */
  readonly nextExpiryMs: number | undefined;
  /** Those of the asked-for waiters that hold a permit by now. */
  readonly grants: readonly Grant[];
  /** Those that neither hold a permit nor wait: the store has lost them. */
  readonly missing: readonly string[];
}

/**
 * Leases and the queue in front of them. Every method is atomic on the store's own clock and first takes back
 * the permits whose lease is over and hands free permits to the longest waiting callers (in turn between
 * tenants, first come first served within one).
 */
export interface PermitStore {
  /** Identity of this process among those that share the store. Contains no colon. */
  readonly ownerId: string;
  acquire(request: PermitRequest): Promise<AcquireReply>;
  /**
   * Extends a held permit to a full lease from now; `false` when it is no longer held. A store that has lost
   * data, and has granted nothing since, holds the permit from now on.
   */
  renew(pool: PermitPool, grant: Grant): Promise<boolean>;
  /** Gives a permit back, or leaves the queue; `false` when it was neither held nor waiting. */
  release(pool: PermitPool, permitId: string): Promise<boolean>;
  /**
   * Says that this process and its waiters are alive, and reports what a lost message may have hidden.
   * Waiters of a process that has not called `acquire` or `sweep` for half a lease may be skipped, and those of
   * one that does not listen any more.
   * @param waitingIds at least one.
   */
  sweep(pool: PermitPool, waitingIds: readonly string[]): Promise<SweepReply>;
  /**
   * Calls `onGrant` for every grant to a waiter of this process, and `onGap` when messages may have been lost.
   * Resolves once grants are being listened for; the result stops listening.
   */
  listen(onGrant: (poolId: string, grant: Grant) => void, onGap: () => void): Promise<() => Promise<void>>;
}

/** Injection token of the {@link PermitStore} port. */
export const PermitStore = Symbol('PermitStore');
