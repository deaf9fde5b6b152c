import { randomUUID } from 'node:crypto';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { parseTenantId } from '@sparkle/contracts';
import { createTestDatabase, type TestDatabase } from '@sparkle/database/testing';
import { currentTraceId, queueTelemetry, runInSpan } from '@sparkle/metrics';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JobQueues } from './job-queues.js';
import { postgresQueueBackend, redisQueueBackend } from './queue-backend.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const carrier = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };

describe.each(['redis', 'postgres'] as const)('jobs on %s', (store) => {
  const exporter = new InMemorySpanExporter();
  let database: TestDatabase | undefined;
  let queues: JobQueues;

  beforeAll(async () => {
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
    context.setGlobalContextManager(new AsyncLocalStorageContextManager());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    if (store === 'postgres') database = await createTestDatabase();
  });

  afterAll(async () => {
    trace.disable();
    context.disable();
    propagation.disable();
    await database?.drop();
  });

  beforeEach(() => {
    exporter.reset();
    const backend = database
      ? postgresQueueBackend(database.url)
      : redisQueueBackend(process.env.TEST_REDIS_URL!, `traced-${randomUUID()}`);
    queues = new JobQueues(backend, { backoffMs: 1 }, queueTelemetry());
  });

  afterEach(() => queues.onApplicationShutdown());

  const payload = () => ({
    tenantId: parseTenantId('acme'),
    conversationId: randomUUID(),
    upToSeq: 1,
  });
  const spans = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);

  it('belong to the trace of whoever added them, each run below the span that added it', async () => {
    const seen: (string | undefined)[] = [];
    queues.startWorker('summaries', async () => seen.push(currentTraceId()), { concurrency: 1 });
    const added = payload();
    await runInSpan('request', { carrier }, () => queues.add('summaries', added.conversationId, added));
    await queues.add('summaries', 'untraced', payload());

    await expect.poll(() => spans('process summaries').length, { timeout: 10_000 }).toBe(2);
    expect(seen[0]).toBe(TRACE);
    expect(seen[1]).not.toBe(TRACE);
    const send = spans('send summaries')[0]!;
    const run = spans('process summaries')[0]!;
    expect(send.parentSpanContext?.spanId).toBe(spans('request')[0]?.spanContext().spanId);
    expect(run.parentSpanContext?.spanId).toBe(send.spanContext().spanId);
    expect(run.attributes).toMatchObject({
      'messaging.system': 'bullmq',
      'messaging.destination.name': 'summaries',
      'messaging.message.id': added.conversationId,
    });
  });

  it('stay in it when they are run again, marked as failed without the message of why', async () => {
    let runs = 0;
    queues.startWorker(
      'summaries',
      async () => {
        runs++;
        if (runs === 1) throw new RangeError('secret content');
      },
      { concurrency: 1 },
    );
    const added = payload();
    await runInSpan('request', { carrier }, () => queues.add('summaries', added.conversationId, added));

    await expect.poll(() => spans('process summaries').length, { timeout: 10_000 }).toBe(2);
    const [first, second] = spans('process summaries');
    expect([first, second].map((span) => span?.spanContext().traceId)).toEqual([TRACE, TRACE]);
    expect(first?.attributes['error.type']).toBe('job_failed');
    expect(second?.attributes).not.toHaveProperty('error.type');
    expect(first?.events).toEqual([]);
    expect(JSON.stringify([first?.attributes, first?.status])).not.toContain('secret');
  });

  it('are all that is traced of a queue: waiting and polling have no spans', async () => {
    queues.startWorker('summaries', async () => {}, { concurrency: 1 });
    await queues.add('summaries', 'one', payload());
    await expect.poll(() => spans('process summaries').length, { timeout: 10_000 }).toBe(1);
    await queues.onApplicationShutdown();
    expect(
      exporter
        .getFinishedSpans()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['process summaries', 'send summaries']);
  });
});
