import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import { channels, parseTenantId, SystemClock, TenantContext } from '@sparkle/contracts';
import { type JobPayload, type JobQueueSettings, JobQueues } from '@sparkle/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JobAttempt, JobProcessor } from '../src/runner/job-processor.js';
import { JobRunner } from '../src/runner/job-runner.js';
import { createQueueStore, openBackend, type QueueStore } from './queue-store.js';
import { atOnce } from './worker-loads.js';

type Payload = JobPayload<'ingestion'>;

const tenantId = parseTenantId('demo');
const FAST: Partial<JobQueueSettings> = { attempts: 3, backoffMs: 20 };

const newPayload = (): Payload => ({
  tenantId,
  jobId: randomUUID(),
  kind: 'ingestion',
  subjectId: randomUUID(),
});

/** A worker process as far as jobs are concerned. */
class Process {
  readonly queues: JobQueues;
  private readonly runner: JobRunner;

  constructor(store: QueueStore, processor: JobProcessor<'ingestion'>, settings = FAST) {
    this.queues = new JobQueues(openBackend(store), settings);
    this.runner = new JobRunner(
      [processor as JobProcessor],
      this.queues,
      { queues: atOnce(2) },
      new SystemClock(),
    );
    this.runner.onApplicationBootstrap();
  }

  /** In the order in which Nest calls the hooks. */
  async shutDown(): Promise<void> {
    await this.runner.beforeApplicationShutdown();
    await this.queues.onApplicationShutdown();
  }
}

class ScriptedProcessor implements JobProcessor<'ingestion'> {
  readonly queue = 'ingestion';
  readonly attempts: number[] = [];
  readonly givenUp: { payload: Payload; error: unknown; tenant: string | undefined }[] = [];

  constructor(private readonly work: (payload: Payload, attempt: JobAttempt) => Promise<void>) {}

  process(payload: Payload, attempt: JobAttempt): Promise<void> {
    this.attempts.push(attempt.number);
    return this.work(payload, attempt);
  }

  async giveUp(payload: Payload, error: unknown): Promise<void> {
    this.givenUp.push({ payload, error, tenant: TenantContext.current()?.tenantId });
  }
}

describe.each(['redis', 'postgres'] as const)('JobRunner on %s', (kind) => {
  let store: Awaited<ReturnType<typeof createQueueStore>> | undefined;
  let processes: Process[] = [];
  let outcomes: { tenantId: string; outcome: string }[];
  let unsubscribe: (() => void) | undefined;

  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(true));

  beforeEach(async () => {
    store = await createQueueStore(kind);
    processes = [];
    outcomes = [];
    unsubscribe = channels.job.subscribe(({ tenantId, outcome }) => outcomes.push({ tenantId, outcome }));
  });

  afterEach(async () => {
    unsubscribe?.();
    await Promise.all(processes.map((each) => each.shutDown()));
    await store?.drop();
  });

  const start = (processor: JobProcessor<'ingestion'>, settings?: Partial<JobQueueSettings>) => {
    const started = new Process(store!, processor, settings);
    processes.push(started);
    return started;
  };

  it('tries a failing job again, then gives it up once and keeps it as a dead letter', async () => {
    const failure = new Error('no luck');
    const processor = new ScriptedProcessor(() => Promise.reject(failure));
    const { queues } = start(processor);
    const payload = newPayload();
    await queues.add('ingestion', payload.jobId, payload);
    await vi.waitFor(async () => expect((await queues.depths()).ingestion.failed).toBe(1), 15_000);
    expect(processor.attempts).toEqual([1, 2, 3]);
    expect(processor.givenUp).toEqual([{ payload, error: failure, tenant: tenantId }]);
    expect(outcomes).toEqual([
      { tenantId, outcome: 'retried' },
      { tenantId, outcome: 'retried' },
      { tenantId, outcome: 'failed' },
    ]);
  });

  it('fails a job for good although its processor could not give it up', async () => {
    const processor = new ScriptedProcessor(() => Promise.reject(new Error('the database is down')));
    processor.giveUp = () => Promise.reject(new Error('still down'));
    const { queues } = start(processor, { ...FAST, attempts: 1 });
    const payload = newPayload();
    await queues.add('ingestion', payload.jobId, payload);
    await vi.waitFor(async () => expect((await queues.depths()).ingestion.failed).toBe(1), 15_000);
    expect(outcomes).toEqual([{ tenantId, outcome: 'failed' }]);
  });

  it('completes a job that succeeds after a failure, and does not give it up', async () => {
    const processor = new ScriptedProcessor(async (_payload, { number }) => {
      if (number === 1) throw new Error('not yet');
    });
    const { queues } = start(processor);
    const payload = newPayload();
    await queues.add('ingestion', payload.jobId, payload);
    await vi.waitFor(
      () => expect(outcomes.map(({ outcome }) => outcome)).toEqual(['retried', 'completed']),
      15_000,
    );
    expect(processor.givenUp).toEqual([]);
  });

  it('works on behalf of the tenant that the payload names, and of no user', async () => {
    let seen: unknown;
    const processor = new ScriptedProcessor(async () => {
      seen = TenantContext.current();
    });
    const { queues } = start(processor);
    const payload = newPayload();
    await queues.add('ingestion', payload.jobId, payload);
    await vi.waitFor(() => expect(outcomes).toHaveLength(1), 15_000);
    expect(seen).toEqual({ tenantId, userId: 'worker', scopes: [] });
  });

  it('fails a payload without its tenant at once, before it reaches the processor', async () => {
    const processor = new ScriptedProcessor(async () => {});
    const { queues } = start(processor);
    const { tenantId: _, ...payload } = newPayload();
    await queues.add('ingestion', payload.jobId, payload as Payload);
    await vi.waitFor(async () => expect((await queues.depths()).ingestion.failed).toBe(1), 15_000);
    expect(processor.attempts).toEqual([]);
    expect(processor.givenUp).toEqual([]);
    expect(outcomes).toEqual([{ tenantId: 'system', outcome: 'failed' }]);
  });

  it('hands running jobs back at shutdown; the next runner completes them as the same attempt', async () => {
    const untilShutdown = new ScriptedProcessor(
      (_payload, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const first = start(untilShutdown);
    const payloads = [newPayload(), newPayload()];
    for (const payload of payloads) await first.queues.add('ingestion', payload.jobId, payload);
    await vi.waitFor(() => expect(untilShutdown.attempts).toEqual([1, 1]), 15_000);
    await first.shutDown();
    expect(untilShutdown.attempts).toEqual([1, 1]);
    expect(outcomes).toEqual([]);
    const next = new ScriptedProcessor(async () => {});
    start(next);
    await vi.waitFor(
      () => expect(outcomes.map(({ outcome }) => outcome)).toEqual(['completed', 'completed']),
      15_000,
    );
    expect(next.attempts).toEqual([1, 1]);
    expect(untilShutdown.givenUp).toEqual([]);
  });

  it('begins no job between the announcement of a shutdown and the closing of the queues', async () => {
    const untilShutdown = new ScriptedProcessor(
      (_payload, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const queues = new JobQueues(openBackend(store!), FAST);
    const config = { queues: atOnce(1) };
    const runner = new JobRunner([untilShutdown as JobProcessor], queues, config, new SystemClock());
    runner.onApplicationBootstrap();
    const running = newPayload();
    await queues.add('ingestion', running.jobId, running);
    await vi.waitFor(() => expect(untilShutdown.attempts).toEqual([1]), 15_000);
    await runner.beforeApplicationShutdown();
    const added = newPayload();
    await queues.add('ingestion', added.jobId, added);
    await vi.waitFor(async () => expect((await queues.depths()).ingestion.active).toBe(0), 15_000);
    await queues.onApplicationShutdown();
    const backend = openBackend(store!);
    const queue = backend.queue('ingestion');
    const begun = async ({ jobId }: Payload) => (await queue.getJob(jobId))?.attemptsStarted;
    expect([await begun(running), await begun(added)]).toEqual([1, 0]);
    await queue.close();
    await backend.close();
  });

  // Two processes start from the sources, one after the other.
  it('takes over the job of a process that died, and gives it up when processes keep dying of it', {
    timeout: 90_000,
  }, async () => {
    const producer = new JobQueues(openBackend(store!));
    const payload = newPayload();
    await producer.add('ingestion', payload.jobId, payload);
    await producer.onApplicationShutdown();
    for (let death = 1; death <= 2; death++) await dieOf(store!, payload.jobId);
    const processor = new ScriptedProcessor(async () => {});
    const { queues } = start(processor, { lockMs: 1_000, stalledCheckMs: 200, maxStalled: 1 });
    await vi.waitFor(async () => expect((await queues.depths()).ingestion.failed).toBe(1), 20_000);
    await vi.waitFor(() => expect(processor.givenUp).toHaveLength(1));
    expect(processor.attempts).toEqual([]);
    expect(processor.givenUp[0]).toMatchObject({ payload, tenant: tenantId });
    expect(outcomes.filter(({ outcome }) => outcome !== 'stalled')).toEqual([
      { tenantId, outcome: 'failed' },
    ]);
  });
});

/** Lets a process begin the job, and kills it. */
async function dieOf({ kind, url, namespace }: QueueStore, jobId: string): Promise<void> {
  const script = fileURLToPath(new URL('dying-worker.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [
      '--conditions=@sparkle/source',
      '--import=@swc-node/register/esm-register',
      script,
      JSON.stringify({ kind, url, namespace }),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  try {
    for await (const line of createInterface({ input: child.stdout })) if (line === `running ${jobId}`) break;
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}
