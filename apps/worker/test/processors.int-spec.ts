import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { channels, parseTenantId, SystemClock } from '@sparkle/contracts';
import type { SummaryService } from '@sparkle/conversation';
import type { CommunityService, IngestionService } from '@sparkle/graphrag';
import { JobQueues } from '@sparkle/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { CommunitiesProcessor } from '../src/processors/communities.processor.js';
import { IngestionProcessor } from '../src/processors/ingestion.processor.js';
import { WarmupProcessor } from '../src/processors/warmup.processor.js';
import type { JobProcessor } from '../src/runner/job-processor.js';
import { JobRunner } from '../src/runner/job-runner.js';
import { createQueueStore, openBackend } from './queue-store.js';
import { atOnce } from './worker-loads.js';

const acme = parseTenantId('acme');
const other = parseTenantId('other');

describe.each(['redis', 'postgres'] as const)('the processors on %s', (kind) => {
  let store: Awaited<ReturnType<typeof createQueueStore>>;
  let queues: JobQueues;
  let runner: JobRunner | undefined;

  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(true));
  beforeEach(async () => {
    store = await createQueueStore(kind);
    queues = new JobQueues(openBackend(store), { attempts: 2, backoffMs: 10 });
  });
  afterEach(async () => {
    await runner?.beforeApplicationShutdown();
    await queues?.onApplicationShutdown();
    await store?.drop();
  });

  const run = (processor: object) => {
    runner = new JobRunner([processor as JobProcessor], queues, { queues: atOnce(2) }, new SystemClock());
    runner.onApplicationBootstrap();
  };

  it('bring the communities of each tenant up to date once, however often a sweep asks, and try again', async () => {
    const refreshed: string[] = [];
    const communities: Partial<CommunityService> = {
      due: async () => [
        { tenantId: acme, version: 3 },
        { tenantId: other, version: 1 },
      ],
      refresh: async ({ tenantId }) => {
        refreshed.push(tenantId);
        if (tenantId === other && refreshed.filter((id) => id === other).length === 1)
          throw new Error('the model is away');
        return undefined as never;
      },
    };
    const summaries: Partial<SummaryService> = { warmupCandidates: async () => [] };
    const warmup = new WarmupProcessor(summaries as SummaryService, communities as CommunityService, queues);
    for (let sweep = 0; sweep < 3; sweep++) await warmup.process({ task: 'communities' });
    expect((await queues.depths()).communities.waiting).toBe(2);
    run(new CommunitiesProcessor(communities as CommunityService));
    await vi.waitFor(async () => {
      const { waiting, active, delayed } = (await queues.depths()).communities;
      expect(waiting + active + delayed).toBe(0);
    }, 15_000);
    expect(refreshed.toSorted()).toEqual([acme, other, other]);
  });

  it('ask for summaries in the background, and let one that somebody waits for go before', async () => {
    const conversationId = randomUUID();
    const summaries: Partial<SummaryService> = {
      warmupCandidates: async () => [{ tenantId: acme, conversationId, messageCount: 40 }],
    };
    const warmup = new WarmupProcessor(summaries as SummaryService, {} as CommunityService, queues);
    await warmup.process({ task: 'summaries' });
    const wanted = { tenantId: acme, conversationId: randomUUID(), upToSeq: 20 };
    await queues.add('summaries', 'wanted', wanted, { priority: 'high' });
    const order: string[] = [];
    queues.startWorker('summaries', async ({ data }) => void order.push(data.conversationId), {
      concurrency: 1,
    });
    await vi.waitFor(() => expect(order).toEqual([wanted.conversationId, conversationId]), 15_000);
  });

  it('tell other processes of each step of their document, and of no other', async () => {
    const payload = {
      tenantId: acme,
      jobId: randomUUID(),
      kind: 'ingestion',
      subjectId: randomUUID(),
    } as const;
    const step = (documentId: string, name: string) =>
      channels.ingestion.publish({
        tenantId: acme,
        documentId,
        step: name,
        outcome: 'success',
        durationMs: 1,
      });
    const ingestion: Partial<IngestionService> = {
      process: async () => {
        step(payload.subjectId, 'chunk');
        step(randomUUID(), 'extract');
        return undefined as never;
      },
    };
    const listener = new JobQueues(openBackend(store));
    try {
      const told: unknown[] = [];
      await listener.events('ingestion').waitUntilReady();
      listener.events('ingestion').on('progress', ({ jobId, data }) => told.push([jobId, data]));
      await queues.add('ingestion', payload.jobId, payload);
      run(new IngestionProcessor(ingestion as IngestionService));
      await vi.waitFor(() => expect(told).toEqual([[payload.jobId, { step: 'chunk' }]]), 15_000);
    } finally {
      await listener.onApplicationShutdown();
    }
  });
});
