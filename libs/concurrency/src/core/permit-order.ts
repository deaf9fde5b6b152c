import type { TenantId } from '@sparkle/contracts';
import type { PermitPool } from '../ports/permit-store.port.js';
import type { Permit } from './permit.js';

export interface SemaphoresSettings {
  /** Lease of a permit, milliseconds; a crashed holder's permit is free after it. Default 30,000. */
  readonly leaseMs: number;
  /** How long `acquire` waits, milliseconds. Default 60,000. */
  readonly timeoutMs: number;
  /** Bound of each semaphore's queue. Default 10,000. */
  readonly maxWaiting: number;
}

export const SEMAPHORE_DEFAULTS: SemaphoresSettings = {
  leaseMs: 30_000,
  timeoutMs: 60_000,
  maxWaiting: 10_000,
};

/** One acquire, with everything about it decided. */
export interface PermitOrder {
  readonly pool: PermitPool;
  readonly semaphore: string;
  readonly tenantId: TenantId;
  readonly timeoutMs: number;
  readonly maxWaiting: number;
  readonly signal: AbortSignal | undefined;
}

/** Where semaphores get their permits from. */
export interface PermitIssuer {
  readonly settings: SemaphoresSettings;
  /** Takes a permit without waiting; `undefined` when none is free or others wait. */
  take(order: PermitOrder): Promise<Permit | undefined>;
  /** Waits for a permit in turn. */
  queue(order: PermitOrder): Promise<Permit>;
}
