import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Clock, channels, isSparkleError, TenantContext, type TenantId } from '@sparkle/contracts';
import { JobQueues, payloadOf, RuntimeConfig } from '@sparkle/runtime';
import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { JOB_PROCESSORS, type JobProcessor } from './job-processor.js';

/** Jobs that belong to no tenant are counted under this name. */
const SYSTEM = 'system';

/** Connects processors to their queues, and publishes the outcome of every attempt. */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(JobRunner.name);
  private readonly shutdown = new AbortController();

  constructor(
    @Inject(JOB_PROCESSORS) private readonly processors: readonly JobProcessor[],
    @Inject(JobQueues) private readonly queues: JobQueues,
    @Inject(RuntimeConfig) private readonly config: RuntimeConfig,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  onApplicationBootstrap(): void {
    for (const processor of this.processors) {
      const worker = this.queues.startWorker(
        processor.queue,
        (job, token) => this.run(processor, job, token),
        this.config.workerConcurrency,
      );
      worker.on('error', (error) => this.logger.warn(`${processor.queue}: ${error.message}`));
      worker.on('stalled', () => this.publish(processor.queue, SYSTEM, 'stalled', 0, 0));
      worker.on('failed', (job, error) => void this.afterFailure(processor, job, error));
    }
  }

  /** Running jobs hear of the shutdown before the queues are closed, which waits for them. */
  beforeApplicationShutdown(): void {
    this.shutdown.abort(new Error('the worker is shutting down'));
  }

  private async run(processor: JobProcessor, job: Job, token?: string): Promise<void> {
    const startedAt = this.clock.monotonic();
    const payload = payloadOf(processor.queue, job);
    const tenantId = 'tenantId' in payload ? payload.tenantId : undefined;
    const attempt = {
      number: job.attemptsMade + 1,
      isLast: job.attemptsMade + 1 >= (job.opts.attempts ?? 1),
      signal: this.shutdown.signal,
    };
    const finish = (outcome: 'completed' | 'failed' | 'retried') => {
      const durationMs = this.clock.monotonic() - startedAt;
      const ageMs = Math.max(0, this.clock.now() - durationMs - job.timestamp);
      this.publish(processor.queue, tenantId ?? SYSTEM, outcome, durationMs, ageMs);
    };
    try {
      await onBehalfOf(tenantId, () => processor.process(payload, attempt));
      finish('completed');
    } catch (error) {
      if (this.shutdown.signal.aborted) {
        await job.moveToDelayed(this.clock.now(), token);
        throw new DelayedError();
      }
      if (attempt.isLast) {
        await processor.giveUp?.(payload, error);
        this.logger.error(`${processor.queue} job ${job.id} failed for good`, error);
      }
      finish(attempt.isLast ? 'failed' : 'retried');
      throw error;
    }
  }

  /** BullMQ fails a job by itself when its process has died too often: then nobody else says so. */
  private async afterFailure(processor: JobProcessor, job: Job | undefined, error: Error): Promise<void> {
    if (!job || !(error instanceof UnrecoverableError)) return;
    try {
      await processor.giveUp?.(payloadOf(processor.queue, job), error);
    } catch (failure) {
      this.logger.error(`${processor.queue} job ${job.id} could not be given up`, failure);
    }
  }

  private publish(
    queue: string,
    tenantId: string,
    outcome: 'completed' | 'failed' | 'retried' | 'stalled',
    durationMs: number,
    ageMs: number,
  ): void {
    channels.job.publish({ tenantId, queue, outcome, durationMs, ageMs });
  }
}

function onBehalfOf<T>(tenantId: TenantId | undefined, work: () => Promise<T>): Promise<T> {
  if (!tenantId) return work();
  return TenantContext.run({ tenantId, userId: 'worker', scopes: [] }, work);
}

/** What went wrong, as it may be stored beside a tenant's job. */
export function recordedError(error: unknown): { code: string; message: string } {
  if (isSparkleError(error)) return { code: error.code, message: error.message };
  return { code: 'INTERNAL_ERROR', message: 'Something went wrong on our side.' };
}
