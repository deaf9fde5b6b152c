import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobQueues, payloadOf } from './job-queues.js';
import { postgresQueueBackend, redisQueueBackend } from './queue-backend.js';

const tenantId = parseTenantId('demo');

function redisUrl(): string {
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
  return url;
}

describe.each(['redis', 'postgres'] as const)('JobQueues on %s', (kind) => {
  let database: TestDatabase | undefined;
  let backend: () => ReturnType<typeof redisQueueBackend>;

  beforeAll(async () => {
    if (kind === 'postgres') {
      database = await createTestDatabase();
      const { url } = database;
      backend = () => postgresQueueBackend(url);
    } else backend = () => redisQueueBackend(redisUrl(), `test-${randomUUID()}`);
  });

  afterAll(async () => {
    await database?.drop();
  });

  it('runs a job that was added twice once, and again when added after it has completed', async () => {
    const queues = new JobQueues(backend());
    const jobId = randomUUID();
    const payload = { tenantId, jobId, kind: 'ingestion', subjectId: randomUUID() } as const;
    const seen: string[] = [];
    const completed = () =>
      new Promise<void>((resolve) => {
        const onCompleted = (event: { jobId: string }) => {
          if (event.jobId !== jobId) return;
          queues.events('ingestion').off('completed', onCompleted);
          resolve();
        };
        queues.events('ingestion').on('completed', onCompleted);
      });
    try {
      await queues.events('ingestion').waitUntilReady();
      await queues.add('ingestion', jobId, payload);
      await queues.add('ingestion', jobId, payload);
      const first = completed();
      queues.startWorker(
        'ingestion',
        async (job) => {
          const { jobId: id } = payloadOf('ingestion', job);
          if (id === jobId) seen.push(id);
        },
        2,
      );
      await first;
      expect(seen).toEqual([jobId]);
      const second = completed();
      await queues.add('ingestion', jobId, payload);
      await second;
      expect(seen).toEqual([jobId, jobId]);
      expect((await queues.depths()).ingestion.failed).toBeGreaterThanOrEqual(0);
    } finally {
      await queues.onApplicationShutdown();
    }
  });

  it('refuses a payload without its tenant', () => {
    const job = { data: { jobId: randomUUID(), kind: 'ingestion', subjectId: randomUUID() } };
    expect(() => payloadOf('ingestion', job as Parameters<typeof payloadOf>[1])).toThrow(/tenantId/);
  });
});
