import { Inject, Injectable } from '@nestjs/common';
import { SemanticCache } from '@sparkle/cache';
import { PartitionUpkeep } from '@sparkle/database';
import { JobQueue, JobService } from '@sparkle/graphrag';
import { type JobPayload, JobQueues, TenantRegistry } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';
import { PlannerStatistics } from '../upkeep/planner-statistics.js';

/** A job that has not moved for this long may have been lost on its way to the queue. */
const LOST_AFTER_MS = 60_000;

/** Jobs enqueued again by one sweep, and how many of them at once. */
const RECOVERED_AT_MOST = 10_000;
const RECOVERED_AT_ONCE = 20;

type Task = JobPayload<'maintenance'>['task'];

/** What no request looks after; each task is a job of its own, which fails and is retried alone. */
@Injectable()
export class MaintenanceProcessor implements JobProcessor<'maintenance'> {
  readonly queue = 'maintenance';

  private readonly tasks: Readonly<Record<Task, (signal: AbortSignal) => Promise<unknown>>> = {
    'lost-jobs': () => this.recoverJobs(LOST_AFTER_MS),
    partitions: (signal) => this.partitions.run({ signal }),
    'expired-answers': (signal) => this.removeExpiredAnswers(signal),
    statistics: (signal) => this.statistics.refresh(signal),
    turns: () => this.queues.restartTurns(),
  };

  constructor(
    @Inject(JobService) private readonly jobs: JobService,
    @Inject(JobQueue) private readonly jobQueue: JobQueue,
    @Inject(PartitionUpkeep) private readonly partitions: PartitionUpkeep,
    @Inject(TenantRegistry) private readonly tenants: TenantRegistry,
    @Inject(SemanticCache) private readonly answers: SemanticCache,
    @Inject(PlannerStatistics) private readonly statistics: PlannerStatistics,
    @Inject(JobQueues) private readonly queues: JobQueues,
  ) {}

  async process({ task }: JobPayload<'maintenance'>, { signal }: JobAttempt): Promise<void> {
    await this.tasks[task](signal);
  }

  /** Enqueues every unfinished job that has not moved for `idleMs`; one that is queued already stays as it is. */
  async recoverJobs(idleMs: number): Promise<void> {
    const lost = await this.jobs.unfinishedJobs({ idleMs, limit: RECOVERED_AT_MOST });
    for (let from = 0; from < lost.length; from += RECOVERED_AT_ONCE)
      await Promise.all(
        lost.slice(from, from + RECOVERED_AT_ONCE).map((ticket) => this.jobQueue.enqueue(ticket)),
      );
  }

  /** One tenant that fails does not keep the others waiting. */
  private async removeExpiredAnswers(signal: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    for (const { id } of await this.tenants.list()) {
      signal.throwIfAborted();
      await this.answers.removeExpired(id).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
