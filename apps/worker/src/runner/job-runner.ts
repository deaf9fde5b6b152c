import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Clock, channels, isSparkleError, TenantContext, type TenantId } from '@sparkle/contracts';
import { RequestScope } from '@sparkle/database';
import { JobQueues, payloadOf, RuntimeConfig, SCHEDULE_NAMES, tenantOf } from '@sparkle/runtime';
import { DelayedError, type Job, UnrecoverableError, type Worker } from 'bullmq';
import { JOB_PROCESSORS, type JobProcessor } from './job-processor.js';

/** Jobs that belong to no tenant are counted under this name. */
const SYSTEM = 'system';

type Outcome = 'completed' | 'failed' | 'retried' | 'stalled';

/** Connects processors to their queues, and publishes the outcome of every attempt. */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(JobRunner.name);
  private readonly shutdown = new AbortController();
  private readonly workers: Worker[] = [];

  constructor(
    @Inject(JOB_PROCESSORS) private readonly processors: readonly JobProcessor[],
    @Inject(JobQueues) private readonly queues: JobQueues,
    @Inject(RuntimeConfig) private readonly config: Pick<RuntimeConfig, 'queues'>,
    @Inject(Clock) private readonly clock: Clock,
  ) {}

  onApplicationBootstrap(): void {
    for (const processor of this.processors) {
      const worker = this.queues.startWorker(
        processor.queue,
        (job, token) => this.run(processor, job, token),
        this.config.queues[processor.queue],
      );
      this.workers.push(worker);
      worker.on('error', (error) => this.logger.warn(`${processor.queue}: ${error.message}`));
      worker.on('stalled', () =>
        channels.job.publish({
          tenantId: SYSTEM,
          queue: processor.queue,
          outcome: 'stalled',
          durationMs: 0,
          ageMs: 0,
        }),
      );
      worker.on('failed', (job) => void this.afterFailure(processor, job));
    }
  }

  /**
   * Running jobs hear of the shutdown before the queues are closed, which waits for them; no other job is begun,
   * or the jobs handed back would be taken again at once.
   */
  async beforeApplicationShutdown(): Promise<void> {
    const paused = this.workers.map((worker) => worker.pause(true));
    this.shutdown.abort(new Error('the worker is shutting down'));
    await Promise.all(paused);
  }

  private async run(processor: JobProcessor, job: Job, token?: string): Promise<void> {
    if (this.shutdown.signal.aborted) return this.handBack(job, token);
    const startedAt = this.clock.monotonic();
    const finish = (tenantId: string, outcome: Outcome) => {
      const durationMs = this.clock.monotonic() - startedAt;
      this.publish(processor.queue, job, tenantId, outcome, durationMs);
    };
    const payload = this.payloadOf(processor, job);
    if (!payload) {
      finish(SYSTEM, 'failed');
      throw new UnrecoverableError('The payload is not what this queue carries.');
    }
    const tenantId = tenantOf(payload);
    const attempt = {
      number: job.attemptsMade + 1,
      isLast: job.attemptsMade + 1 >= (job.opts.attempts ?? 1),
      signal: this.shutdown.signal,
      // Followers look at the rows anyway: an event that gets lost delays what they see, and fails nothing.
      report: (progress: object) => void job.updateProgress(progress).catch(() => {}),
    };
    try {
      await RequestScope.run(
        () => onBehalfOf(tenantId, () => processor.process(payload, attempt)),
        `job ${processor.queue}`,
      );
    } catch (error) {
      if (this.shutdown.signal.aborted) return this.handBack(job, token);
      finish(tenantId ?? SYSTEM, attempt.isLast ? 'failed' : 'retried');
      if (attempt.isLast) await this.giveUp(processor, job, error);
      throw reasonOf(error);
    }
    finish(tenantId ?? SYSTEM, 'completed');
  }

  /** Lets another process have the job, as if this one had never begun it. */
  private async handBack(job: Job, token?: string): Promise<never> {
    await job.moveToDelayed(this.clock.now(), token);
    throw new DelayedError();
  }

  /** BullMQ fails a job by itself when its process has died too often: then nobody else says so. */
  private async afterFailure(processor: JobProcessor, job: Job | undefined): Promise<void> {
    if (!job?.deferredFailure) return;
    const payload = this.payloadOf(processor, job);
    const tenantId = (payload && tenantOf(payload)) ?? SYSTEM;
    this.publish(processor.queue, job, tenantId, 'failed', 0);
    if (payload) await this.giveUp(processor, job, new Error(job.deferredFailure));
  }

  /** Never rejects: the job has failed whether or not its processor could write that down. */
  private async giveUp(processor: JobProcessor, job: Job, error: unknown): Promise<void> {
    this.logger.error(`${processor.queue} job ${job.id} failed for good`, error);
    try {
      const payload = payloadOf(processor.queue, job);
      await onBehalfOf(tenantOf(payload), async () => processor.giveUp?.(payload, error));
    } catch (failure) {
      this.logger.error(`${processor.queue} job ${job.id} could not be given up`, failure);
    }
  }

  private payloadOf(processor: JobProcessor, job: Job): ReturnType<typeof payloadOf> | undefined {
    try {
      return payloadOf(processor.queue, job);
    } catch (error) {
      this.logger.error(`${processor.queue} job ${job.id} cannot be read`, error);
      return undefined;
    }
  }

  /** From when the job was added until the attempt began. */
  private ageOf(job: Job, durationMs: number): number {
    return Math.max(0, this.clock.now() - durationMs - job.timestamp);
  }

  private publish(queue: string, job: Job, tenantId: string, outcome: Outcome, durationMs: number): void {
    const name = SCHEDULE_NAMES.find((schedule) => schedule === job.name);
    channels.job.publish({
      tenantId,
      queue,
      outcome,
      durationMs,
      ageMs: this.ageOf(job, durationMs),
      ...(name && { schedule: { name, endedAt: this.clock.now() } }),
    });
  }
}

/** As the queue keeps it: with its code, by which readers know that the text is meant for them. */
function reasonOf(error: unknown): unknown {
  return isSparkleError(error) ? new Error(`${error.code}: ${error.message}`, { cause: error }) : error;
}

function onBehalfOf<T>(tenantId: TenantId | undefined, work: () => Promise<T>): Promise<T> {
  if (!tenantId) return work();
  return TenantContext.run({ tenantId, userId: 'worker', scopes: [] }, work);
}
