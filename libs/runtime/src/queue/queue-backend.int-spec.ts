import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { TcpProxy } from '@sparkle/contracts/testing';
import { createTestDatabase } from '@sparkle/database/testing';
import { jobQueueContract } from '@sparkle/graphrag/testing';
import { describe, expect, it, vi } from 'vitest';
import { SpawnedProcess } from '../../test/processes/spawn-process.js';
import { BullJobQueue } from './bull-job-queue.js';
import { JobQueues, payloadOf } from './job-queues.js';
import { postgresQueueBackend, redisQueueBackend } from './queue-backend.js';
import type { JobPayload } from './queues.js';

function redisUrl(): string {
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set; "npm test" sets it');
  return url;
}

const newPayload = (): JobPayload<'ingestion'> => ({
  tenantId: parseTenantId('demo'),
  jobId: randomUUID(),
  kind: 'ingestion',
  subjectId: randomUUID(),
});

for (const kind of ['Redis', 'PostgreSQL'] as const) {
  jobQueueContract(`BullJobQueue on ${kind}`, async () => {
    const database = kind === 'PostgreSQL' ? await createTestDatabase() : undefined;
    const queues = new JobQueues(
      database ? postgresQueueBackend(database.url) : redisQueueBackend(redisUrl(), `test-${randomUUID()}`),
    );
    return {
      queue: new BullJobQueue(queues),
      take: async () => {
        const taken: JobPayload<'ingestion'>[] = [];
        const worker = queues.startWorker(
          'ingestion',
          async (job) => void taken.push(payloadOf('ingestion', job)),
          { concurrency: 1 },
        );
        await vi.waitFor(async () => {
          const { waiting, active } = (await queues.depths()).ingestion;
          expect(waiting + active).toBe(0);
        }, 10_000);
        await worker.close();
        return taken;
      },
      close: async () => {
        await queues.onApplicationShutdown();
        await database?.drop();
      },
    };
  });
}

describe('closed queues', () => {
  it('leave no connection to Redis open', async () => {
    const child = SpawnedProcess.start('use-queues.ts', 'redis', redisUrl());
    expect(await child.status(), child.stderr).toBe(0);
    expect(child.stdout).toBe('closed\n');
  });

  it('leave no connection to PostgreSQL open', async () => {
    const database = await createTestDatabase();
    try {
      const child = SpawnedProcess.start('use-queues.ts', 'postgres', database.url);
      expect(await child.status(), child.stderr).toBe(0);
      expect(child.stdout).toBe('closed\n');
    } finally {
      await database.drop();
    }
  });
});

describe('adding a job while Redis is away', () => {
  const namespace = `test-${randomUUID()}`;

  it('fails instead of waiting, and works again when Redis is back', async () => {
    const line = await TcpProxy.to(redisUrl());
    const queues = new JobQueues(redisQueueBackend(`redis://127.0.0.1:${line.port}`, namespace));
    try {
      const add = () => {
        const payload = newPayload();
        return queues.add('ingestion', payload.jobId, payload);
      };
      await add();
      await line.refuse();
      await expect(add()).rejects.toThrow();
      await line.accept();
      await vi.waitFor(add, { timeout: 15_000, interval: 100 });
    } finally {
      await queues.onApplicationShutdown();
      await line.close();
    }
  });

  it('works later although Redis was away at the first use', async () => {
    const line = await TcpProxy.to(redisUrl());
    await line.refuse();
    const queues = new JobQueues(redisQueueBackend(`redis://127.0.0.1:${line.port}`, namespace));
    try {
      const payload = newPayload();
      const add = () => queues.add('ingestion', payload.jobId, payload);
      await expect(add()).rejects.toThrow();
      await line.accept();
      await vi.waitFor(add, { timeout: 15_000, interval: 100 });
    } finally {
      await queues.onApplicationShutdown();
      await line.close();
    }
  });
});
