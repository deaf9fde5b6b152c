import type { PermitStore } from '../ports/permit-store.port.js';

/** Delays a call or its reply until somebody decides so. */
export type Interleave = <T>(label: string, call: () => Promise<T>) => Promise<T>;

/** A permit store whose calls, replies and grant messages are put into any order by `interleave`. */
export function scheduledPermitStore(store: PermitStore, interleave: Interleave): PermitStore {
  return {
    ownerId: store.ownerId,
    acquire: (request) => interleave(`acquire ${request.permitId}`, () => store.acquire(request)),
    renew: (pool, grant) => interleave(`renew ${grant.permitId}`, () => store.renew(pool, grant)),
    release: (pool, permitId) => interleave(`release ${permitId}`, () => store.release(pool, permitId)),
    sweep: (pool, waitingIds) => interleave('sweep', () => store.sweep(pool, waitingIds)),
    listen: (onGrant, onGap) =>
      store.listen((poolId, grant) => {
        void interleave(`grant ${grant.permitId}`, async () => onGrant(poolId, grant));
      }, onGap),
  };
}
