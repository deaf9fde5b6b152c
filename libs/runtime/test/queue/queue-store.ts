import { randomUUID } from 'node:crypto';
import { createTestDatabase } from '@sparkle/database/testing';
import type { QueueBackend } from '../../src/index.js';
import { openBackend, type StoreAddress } from './store-address.js';

/** A place for jobs of a test's own, which several backends may open. */
export interface QueueStore {
  readonly address: StoreAddress;
  open(): QueueBackend;
  drop(): Promise<void>;
}

export const STORES: Readonly<Record<StoreAddress['kind'], () => Promise<QueueStore>>> = {
  Redis: async () => {
    const url = process.env.TEST_REDIS_URL;
    if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
    const address = { kind: 'Redis', url, namespace: `test-${randomUUID()}` } as const;
    return { address, open: () => openBackend(address), drop: async () => {} };
  },
  PostgreSQL: async () => {
    const database = await createTestDatabase();
    const address = { kind: 'PostgreSQL', url: database.url } as const;
    return { address, open: () => openBackend(address), drop: () => database.drop() };
  },
};
