import { Inject, Injectable } from '@nestjs/common';
import { SemanticCache } from '@sparkle/cache';
import { PartitionUpkeep } from '@sparkle/database';
import { JobQueue, JobService } from '@sparkle/graphrag';
import { type JobPayload, TenantRegistry } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';

/** A job that has not moved for this long may have been lost on its way to the queue. */
const LOST_AFTER_MS = 60_000;

/** Enqueues jobs that got lost between database and queue, looks after partitions, deletes expired answers. */
@Injectable()
export class MaintenanceProcessor implements JobProcessor<'maintenance'> {
  readonly queue = 'maintenance';

  constructor(
    @Inject(JobService) private readonly jobs: JobService,
    @Inject(JobQueue) private readonly jobQueue: JobQueue,
    @Inject(PartitionUpkeep) private readonly partitions: PartitionUpkeep,
    @Inject(TenantRegistry) private readonly tenants: TenantRegistry,
    @Inject(SemanticCache) private readonly answers: SemanticCache,
  ) {}

  async process(_payload: JobPayload<'maintenance'>, { signal }: JobAttempt): Promise<void> {
    const failures: unknown[] = [];
    // One thing that fails, or one tenant, does not keep the others waiting.
    const each = (step: Promise<unknown>) => step.catch((error: unknown) => failures.push(error));
    await each(this.recoverJobs(LOST_AFTER_MS));
    await each(this.partitions.run({ signal }));
    for (const { id } of await this.tenants.list()) await each(this.answers.removeExpired(id));
    if (failures.length > 0) throw failures[0];
  }

  /** Enqueues every unfinished job that has not moved for `idleMs`; one that is queued already stays as it is. */
  async recoverJobs(idleMs: number): Promise<void> {
    for (const ticket of await this.jobs.unfinishedJobs({ idleMs })) await this.jobQueue.enqueue(ticket);
  }
}
