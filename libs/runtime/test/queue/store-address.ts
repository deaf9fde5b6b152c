import { postgresQueueBackend, type QueueBackend, redisQueueBackend } from '../../src/queue/queue-backend.js';

/** Where jobs are kept, so that a process of its own can open the same place. */
export type StoreAddress =
  | { readonly kind: 'Redis'; readonly url: string; readonly namespace: string }
  | { readonly kind: 'PostgreSQL'; readonly url: string };

/** Opens a store; every caller closes its own. */
export function openBackend(address: StoreAddress): QueueBackend {
  return address.kind === 'Redis'
    ? redisQueueBackend(address.url, address.namespace)
    : postgresQueueBackend(address.url);
}
