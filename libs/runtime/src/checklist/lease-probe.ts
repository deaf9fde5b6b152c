import type { PermitPool, PermitStore } from '@sparkle/concurrency';
import type { Clock, TenantId } from '@sparkle/contracts';

/** What became of a permit whose holder never came back. */
export interface LeaseProbe {
  /** Another caller was refused while the lease ran. */
  readonly excluded: boolean;
  /** From the grant until another caller got the permit, milliseconds. */
  readonly returnedAfterMs: number;
  /** The second holder's fencing token is the greater one. */
  readonly fenced: boolean;
}

const LEASE_MS = 500;
const ASK_EVERY_MS = 25;
const GIVE_UP_AFTER_MS = 20 * LEASE_MS;

/** The lease the probe takes, milliseconds. */
export const PROBE_LEASE_MS = LEASE_MS;

/**
 * Takes a permit in the product's own store, never renews it, as a process that died would, and waits for another
 * caller to get it. Costs about one lease. Resolves to `undefined` when the permit did not come back.
 * @param probeId makes the pool this probe's own.
 */
export async function probeLease(
  store: PermitStore,
  clock: Clock,
  tenantId: TenantId,
  probeId: string,
): Promise<LeaseProbe | undefined> {
  const pool: PermitPool = { id: `checklist:${tenantId}:${probeId}`, permits: 1, leaseMs: LEASE_MS };
  const ask = (caller: string) => {
    const permitId = `${store.ownerId}:checklist-${probeId}-${caller}`;
    return store.acquire({ pool, tenantId, permitId, wait: false, maxWaiting: 1 });
  };
  const dead = await ask('dead');
  if (dead.outcome !== 'granted') return undefined;
  const grantedAt = clock.monotonic();
  let excluded = false;
  for (let attempt = 0; clock.monotonic() - grantedAt < GIVE_UP_AFTER_MS; attempt++) {
    const next = await ask(`next-${attempt}`);
    if (next.outcome === 'granted') {
      const returnedAfterMs = clock.monotonic() - grantedAt;
      await store.release(pool, next.grant.permitId);
      return { excluded, returnedAfterMs, fenced: next.grant.fencingToken > dead.grant.fencingToken };
    }
    excluded = true;
    await clock.sleep(ASK_EVERY_MS);
  }
  return undefined;
}
