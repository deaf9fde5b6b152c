import type { OnApplicationShutdown } from '@nestjs/common';
import { JOB_PRIORITY, type Priority } from '@sparkle/concurrency';
import type { TenantId } from '@sparkle/contracts';
import {
  DelayedError,
  type Job,
  type Queue,
  type QueueEvents,
  type Telemetry,
  UnrecoverableError,
  type Worker,
  type WorkerOptions,
} from 'bullmq';
import type { QueueBackend } from './queue-backend.js';
import {
  type JobPayload,
  QUEUE_NAMES,
  QUEUES,
  type QueueName,
  TENANT_QUEUE_NAMES,
  type TenantQueueName,
} from './queues.js';
import type { ScheduledJob } from './schedule.js';
import { bullPriority, TURNS_PER_PRIORITY, turnOf } from './turns/turn-priority.js';

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

/** Turns are counted from 0 again once they have come this far, before the numbers end. */
const RESTART_AT_TURN = TURNS_PER_PRIORITY / 2;

/** How a job is added. */
export interface AddOptions {
  /** Postpones the job; default 0. */
  readonly delayMs?: number;
  /** Jobs of a higher class go before all of a lower one in the same queue. Default `medium`. */
  readonly priority?: Priority;
}

/** How much of a queue one worker process runs. */
export interface WorkerLoad {
  /** Jobs at once. */
  readonly concurrency: number;
  /** Jobs begun per second by all processes together; absent: as many as there are. */
  readonly perSecond?: number;
}

/** How many jobs of a queue are in each state. */
export type QueueDepths = Record<'waiting' | 'active' | 'delayed' | 'failed', number>;

/**
 * The queues of one application: adds jobs, starts workers, and closes what it opened. Waiting jobs of a queue are
 * ordered by class, and within a class tenants take turns, however many jobs one of them has.
 */
export class JobQueues implements OnApplicationShutdown {
  private readonly queues = new Map<QueueName, Queue>();
  private readonly listeners = new Map<QueueName, QueueEvents>();
  private readonly workers: Worker[] = [];

  private readonly settings: JobQueueSettings;

  constructor(
    private readonly backend: QueueBackend,
    settings: Partial<JobQueueSettings> = {},
    private readonly telemetry?: Telemetry,
  ) {
    this.settings = { ...DEFAULTS, ...settings };
  }

  /**
   * Adds a job unless one with the same id waits or runs; a finished one of that id is replaced. One that waits in
   * a lower class is moved to that of `options`.
   */
  async add<Name extends QueueName>(
    name: Name,
    jobId: string,
    payload: JobPayload<Name>,
    options: AddOptions = {},
  ): Promise<void> {
    const queue = this.queueOf(name);
    const tenantId = tenantOf(payload);
    const priority = options.priority ?? 'medium';
    const existing: Job | undefined = await queue.getJob(jobId);
    if (existing) {
      if (!(await existing.isCompleted()) && !(await existing.isFailed())) {
        const held = turnOf(existing.priority)?.priority;
        if (tenantId && held && JOB_PRIORITY[priority] < JOB_PRIORITY[held])
          await existing.changePriority({ priority: await this.takeTurn(name, priority, tenantId) });
        return;
      }
      await existing.remove();
    }
    await queue.add(name, payload, {
      jobId,
      delay: options.delayMs,
      ...(tenantId && { priority: await this.takeTurn(name, priority, tenantId) }),
    });
  }

  /** Adds the jobs of a schedule again and again, once for all processes that ask for it; others are ended. */
  async schedule(jobs: Readonly<Record<string, ScheduledJob>>): Promise<void> {
    const names = Object.keys(jobs);
    for (const [name, { queue, payload, everyMs }] of Object.entries(jobs))
      await this.queueOf(queue).upsertJobScheduler(
        name,
        { every: everyMs },
        // Every run begins a trace of its own: each is added by the one before, in a trace without an end.
        { name, data: payload, opts: { telemetry: { omitContext: true } } },
      );
    for (const queue of new Set(Object.values(jobs).map((job) => job.queue)))
      for (const { key } of await this.queueOf(queue).getJobSchedulers())
        if (!names.includes(key)) await this.queueOf(queue).removeJobScheduler(key);
  }

  /**
   * Starts a worker of this process; it is closed, after its running jobs, when the application shuts down.
   * A job that fails and is to run again takes a new turn, behind its tenant's other jobs.
   */
  startWorker(
    name: QueueName,
    process: (job: Job, token?: string) => Promise<unknown>,
    load: WorkerLoad,
  ): Worker {
    const options: Omit<WorkerOptions, 'connection' | 'prefix'> = {
      concurrency: load.concurrency,
      ...(load.perSecond !== undefined && { limiter: { max: load.perSecond, duration: 1_000 } }),
      lockDuration: this.settings.lockMs,
      stalledInterval: this.settings.stalledCheckMs,
      maxStalledCount: this.settings.maxStalled,
      ...(this.telemetry && { telemetry: this.telemetry }),
    };
    const inTurn = async (job: Job, token?: string) => {
      const place = turnOf(job.priority);
      // Without it newcomers would take an earlier turn until the next job begins: nothing to fail a job for.
      if (place) void this.backend.turns.begin(name, place.priority, place.turn).catch(() => {});
      try {
        return await process(job, token);
      } catch (error) {
        if (place && isRetried(job, error)) await this.requeue(name, job, place.priority).catch(() => {});
        throw error;
      }
    };
    const worker = this.backend.worker(name, inTurn, options);
    this.workers.push(worker);
    return worker;
  }

  /** Counts turns from 0 again where they have come far, and gives the waiting jobs new ones in the same order. */
  async restartTurns(atTurn: number = RESTART_AT_TURN): Promise<void> {
    for (const name of TENANT_QUEUE_NAMES)
      for (const priority of Object.keys(JOB_PRIORITY) as Priority[])
        if ((await this.backend.turns.current(name, priority)) >= atTurn)
          await this.restartTurnsOf(name, priority);
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
        const { waiting, prioritized, ...others } = await this.queueOf(name).getJobCounts(
          'waiting',
          'prioritized',
          'active',
          'delayed',
          'failed',
        );
        return [name, { ...others, waiting: (waiting ?? 0) + (prioritized ?? 0) } as QueueDepths] as const;
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

  /** BullMQ's queue itself, to look at its jobs; closed with the others. */
  queueOf(name: QueueName): Queue {
    let queue = this.queues.get(name);
    if (!queue) {
      const { attempts, backoffMs } = this.settings;
      const made = this.backend.queue(name, {
        defaultJobOptions: { attempts, backoff: { type: 'exponential', delay: backoffMs }, ...RETENTION },
        ...(this.telemetry && { telemetry: this.telemetry }),
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

  /** Gives a job that does not wait yet its tenant's next turn. */
  async requeue(name: QueueName, job: Job, priority: Priority): Promise<void> {
    const tenantId = tenantOf(payloadOf(name, job));
    if (tenantId) await job.changePriority({ priority: await this.takeTurn(name, priority, tenantId) });
  }

  private async takeTurn(name: QueueName, priority: Priority, tenantId: TenantId): Promise<number> {
    return bullPriority(priority, await this.backend.turns.take(name, priority, tenantId));
  }

  private async restartTurnsOf(name: TenantQueueName, priority: Priority): Promise<void> {
    const queue = this.queueOf(name);
    const jobs: Job[] = [
      ...(await queue.getJobs(['prioritized'], 0, -1, true)),
      ...(await queue.getDelayed()),
    ];
    await this.backend.turns.restart(name, priority);
    // One that has begun or is gone meanwhile wants no turn.
    for (const job of jobs)
      if (turnOf(job.priority)?.priority === priority)
        await this.requeue(name, job, priority).catch(() => {});
  }
}

/**
 * Reads a job's payload.
 * @throws ZodError when it is not what the queue carries.
 */
export function payloadOf<Name extends QueueName>(name: Name, job: Job): JobPayload<Name> {
  return QUEUES[name].parse(job.data) as JobPayload<Name>;
}

/** Whose job it is; `undefined` for those of no tenant. */
export function tenantOf(payload: JobPayload<QueueName>): TenantId | undefined {
  return 'tenantId' in payload ? payload.tenantId : undefined;
}

function isRetried(job: Job, error: unknown): boolean {
  if (error instanceof DelayedError || error instanceof UnrecoverableError) return false;
  return job.attemptsMade + 1 < (job.opts.attempts ?? 1);
}
