import { randomUUID } from 'node:crypto';
import { createTestDatabase } from '@sparkle/database/testing';
import { postgresQueueBackend, QUEUE_NAMES, type QueueBackend, redisQueueBackend } from '@sparkle/runtime';

/** Where a queue backend keeps its jobs, so that a process of its own can open the same one. */
export interface QueueStore {
  readonly kind: 'redis' | 'postgres';
  readonly url: string;
  readonly namespace: string;
}

/** Opens a store; every caller closes its own. */
export function openBackend({ kind, url, namespace }: QueueStore): QueueBackend {
  return kind === 'redis' ? redisQueueBackend(url, namespace) : postgresQueueBackend(url);
}

/** An empty store of a test's own. */
export async function createQueueStore(
  kind: QueueStore['kind'],
): Promise<QueueStore & { drop(): Promise<void> }> {
  const namespace = `test-${randomUUID()}`;
  if (kind === 'postgres') {
    const database = await createTestDatabase();
    return { kind, namespace, url: database.url, drop: () => database.drop() };
  }
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
  return {
    kind,
    namespace,
    url,
    drop: async () => {
      for (const name of QUEUE_NAMES) {
        const backend = redisQueueBackend(url, namespace);
        const queue = backend.queue(name);
        await queue.obliterate({ force: true });
        await queue.close();
        await backend.close();
      }
    },
  };
}
