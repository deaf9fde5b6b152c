import { Inject, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { JobQueues, SCHEDULE } from '@sparkle/runtime';
import { MaintenanceProcessor } from '../processors/maintenance.processor.js';

/** Sets the repeated jobs up, and enqueues at once what an earlier process left behind. */
@Injectable()
export class Upkeep implements OnApplicationBootstrap {
  private readonly logger = new Logger(Upkeep.name);

  constructor(
    @Inject(JobQueues) private readonly queues: JobQueues,
    @Inject(MaintenanceProcessor) private readonly maintenance: MaintenanceProcessor,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const steps = await Promise.allSettled([this.queues.schedule(SCHEDULE), this.maintenance.recoverJobs(0)]);
    // Every worker sets them up, and each sweep recovers: a failure here must not keep a worker down.
    for (const step of steps)
      if (step.status === 'rejected') this.logger.warn(`Upkeep could not be set up: ${String(step.reason)}`);
  }
}
