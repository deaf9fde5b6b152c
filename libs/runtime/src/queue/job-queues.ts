import type { OnApplicationShutdown } from '@nestjs/common';
import type { Job, Queue, QueueEvents, Worker, WorkerOptions } from 'bullmq';
import type { QueueBackend } from './queue-backend.js';
import { type JobPayload, QUEUE_NAMES, QUEUES, type QueueName } from './queues.js';

/** How failing jobs and dying processes are dealt with. */
export interface JobQueueSettings {
  /** Runs of a failing job before it is given up. Default 5. */
  readonly attempts: number;
  /** Wait before the second run; it doubles from run to run. Default 1,000. */
  readonly backoffMs: number;
  /** A process that dies loses its jobs' locks after this long; another then takes them over. Default 15,000. */
  readonly lockMs: number;
  /** How often jobs of dead processes are looked for. Default 5,000. */
  readonly stalledCheckMs: number;
  /** A job whose process died more often than this is taken for the cause and fails. Default 5. */
  readonly maxStalled: number;
}

const DEFAULTS: JobQueueSettings = {
  attempts: 5,
  backoffMs: 1_000,
  lockMs: 15_000,
  stalledCheckMs: 5_000,
  maxStalled: 5,
};

/** Completed jobs are of no use; failed ones are the dead letters: kept for a week to be looked at and replayed. */
const RETENTION = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 7 * 86_400, count: 10_000 },
};

/** How many jobs of a queue are in each state. */
export type QueueDepths = Record<'waiting' | 'active' | 'delayed' | 'failed', number>;

/** The queues of one application: adds jobs, starts workers, and closes what it opened. */
export class JobQueues implements OnApplicationShutdown {
  private readonly queues = new Map<QueueName, Queue>();
  private readonly listeners = new Map<QueueName, QueueEvents>();
  private readonly workers: Worker[] = [];

  private readonly settings: JobQueueSettings;

  constructor(
    private readonly backend: QueueBackend,
    settings: Partial<JobQueueSettings> = {},
  ) {
    this.settings = { ...DEFAULTS, ...settings };
  }

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
      lockDuration: this.settings.lockMs,
      stalledInterval: this.settings.stalledCheckMs,
      maxStalledCount: this.settings.maxStalled,
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
    await Promise.allSettled(this.workers.map((worker) => worker.close()));
    await Promise.allSettled(
      [...this.listeners.values(), ...this.queues.values()].map((each) => each.close()),
    );
    await this.backend.close();
  }

  private queue(name: QueueName): Queue {
    let queue = this.queues.get(name);
    if (!queue) {
      const { attempts, backoffMs } = this.settings;
      const made = this.backend.queue(name, {
        defaultJobOptions: { attempts, backoff: { type: 'exponential', delay: backoffMs }, ...RETENTION },
      });
      made.on('error', () => {});
      // A queue that could not connect at first never does: the next use makes another one.
      made.waitUntilReady().catch(() => {
        if (this.queues.get(name) === made) this.queues.delete(name);
      });
      this.queues.set(name, made);
      queue = made;
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
