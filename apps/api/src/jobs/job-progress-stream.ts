import { createHash } from 'node:crypto';
import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { Clock, type TenantId } from '@sparkle/contracts';
import { JobService, type JobView } from '@sparkle/graphrag';
import { JobQueues } from '@sparkle/runtime';
import type { ServerEvent } from '../http/event-stream.js';

/** Looked at anew this often although no event came: an event of the queue may get lost, a row does not. */
const RECHECK_MS = 2_000;

/** Follows a job to its end. */
@Injectable()
export class JobProgressStream implements BeforeApplicationShutdown {
  private readonly shutdown = new AbortController();

  constructor(
    @Inject(JobService) private readonly jobs: JobService,
    @Inject(JobQueues) private readonly queues: JobQueues,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  /** A server waits for its responses before it closes, and a job may run for longer than a shutdown. */
  beforeApplicationShutdown(): void {
    this.shutdown.abort();
  }

  /**
   * The job's state now and after each change; ends with its last state, when `clientLeft` aborts, or when the
   * application shuts down. Each event tells the whole state, so that a client that missed some misses nothing.
   * @param seen id of the last event a client has seen: a state it knows is not told again, unless it is the last.
   */
  async *follow(
    tenantId: TenantId,
    jobId: string,
    clientLeft: AbortSignal,
    seen = '',
  ): AsyncGenerator<ServerEvent> {
    const signal = AbortSignal.any([clientLeft, this.shutdown.signal]);
    let shown = seen;
    for (;;) {
      const job = await this.jobs.get(tenantId, jobId);
      const id = digestOf(job);
      if (id !== shown || isOver(job)) {
        shown = id;
        yield { event: isOver(job) ? job.state : 'progress', data: job, id };
      }
      if (isOver(job) || signal.aborted) return;
      await this.nextChange(jobId, signal);
      if (signal.aborted) return;
    }
  }

  private nextChange(jobId: string, signal: AbortSignal): Promise<void> {
    const events = this.queues.events('ingestion');
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        for (const name of ['progress', 'completed', 'failed'] as const) events.off(name, onEvent);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const onEvent = (event: { jobId: string }) => {
        if (event.jobId === jobId) wake();
      };
      const timer = this.clock.schedule(RECHECK_MS, wake);
      for (const name of ['progress', 'completed', 'failed'] as const) events.on(name, onEvent);
      signal.addEventListener('abort', wake);
    });
  }
}

/** The same in every process that shows this state. */
function digestOf(job: JobView): string {
  return createHash('sha256').update(JSON.stringify(job)).digest('base64url').slice(0, 22);
}

function isOver(job: JobView): boolean {
  return job.state === 'completed' || job.state === 'failed';
}
