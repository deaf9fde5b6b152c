import type { OnApplicationShutdown } from '@nestjs/common';
import type { Job, Queue, QueueEvents, Worker, WorkerOptions } from 'bullmq';
import type { QueueBackend } from './queue-backend.js';
import { type JobPayload, QUEUE_NAMES, QUEUES, type QueueName } from './queues.js';

/** Retries of a failing job: 5 attempts, 1 s, 2 s, 4 s, 8 s apart. */
const DEFAULT_JOB_OPTIONS = {
  attempts: 5,
  backoff: { type: 'exponential', delay: 1_000 },
  removeOnComplete: { age: 3_600, count: 1_000 },
  // Failed jobs are the dead letters: kept for a week to be looked at and replayed.
  removeOnFail: { age: 7 * 86_400, count: 10_000 },
};

/** A process that dies loses its jobs' locks after this long; another then takes them over. */
const LOCK_DURATION_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
/** A job whose process died this often is taken for the cause and fails. */
const MAX_STALLED = 5;

/** How many jobs of a queue are in each state. */
export type QueueDepths = Record<'waiting' | 'active' | 'delayed' | 'failed', number>;

/** The queues of one application: adds jobs, starts workers, and closes what it opened. */
export class JobQueues implements OnApplicationShutdown {
  private readonly queues = new Map<QueueName, Queue>();
  private readonly listeners = new Map<QueueName, QueueEvents>();
  private readonly workers: Worker[] = [];

  constructor(private readonly backend: QueueBackend) {}

  /**
   * Adds a job unless one with the same id waits or runs; a finished one of that id is replaced.
   * @param options `delayMs` postpones the job; default 0.
   */
  async add<Name extends QueueName>(
    name: Name,
    jobId: string,
    payload: JobPayload<Name>,
    options: { delayMs?: number } = {},
  ): Promise<void> {
    const queue = this.queue(name);
    const existing: Job | undefined = await queue.getJob(jobId);
    if (existing) {
      if (!(await existing.isCompleted()) && !(await existing.isFailed())) return;
      await existing.remove();
    }
    await queue.add(name, payload, { jobId, delay: options.delayMs });
  }

  /** Adds a job every `everyMs`, once for all processes however many ask for it. */
  async repeat(name: 'warmup' | 'maintenance', everyMs: number): Promise<void> {
    await this.queue(name).upsertJobScheduler(`${name}-every`, { every: everyMs }, { name, data: {} });
  }

  /**
   * Starts a worker of this process; it is closed, after its running jobs, when the application shuts down.
   */
  startWorker(
    name: QueueName,
    process: (job: Job, token?: string) => Promise<unknown>,
    concurrency: number,
  ): Worker {
    const options: Omit<WorkerOptions, 'connection' | 'prefix'> = {
      concurrency,
      lockDuration: LOCK_DURATION_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: MAX_STALLED,
    };
    const worker = this.backend.worker(name, process, options);
    this.workers.push(worker);
    return worker;
  }

  /** Events of a queue's jobs, from every process. */
  events(name: QueueName): QueueEvents {
    let events = this.listeners.get(name);
    if (!events) {
      events = this.backend.events(name);
      events.on('error', () => {});
      events.setMaxListeners(0);
      this.listeners.set(name, events);
    }
    return events;
  }

  /** The depth of every queue. */
  async depths(): Promise<Record<QueueName, QueueDepths>> {
    const entries = await Promise.all(
      QUEUE_NAMES.map(async (name) => {
        const counts = await this.queue(name).getJobCounts('waiting', 'active', 'delayed', 'failed');
        return [name, counts as QueueDepths] as const;
      }),
    );
    return Object.fromEntries(entries) as Record<QueueName, QueueDepths>;
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.close()));
    await Promise.all([...this.listeners.values(), ...this.queues.values()].map((each) => each.close()));
  }

  private queue(name: QueueName): Queue {
    let queue = this.queues.get(name);
    if (!queue) {
      queue = this.backend.queue(name, { defaultJobOptions: DEFAULT_JOB_OPTIONS });
      queue.on('error', () => {});
      this.queues.set(name, queue);
    }
    return queue;
  }
}

/**
 * Reads a job's payload.
 * @throws ZodError when it is not what the queue carries.
 */
export function payloadOf<Name extends QueueName>(name: Name, job: Job): JobPayload<Name> {
  return QUEUES[name].parse(job.data) as JobPayload<Name>;
}
