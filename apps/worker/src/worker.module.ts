import { Module } from '@nestjs/common';
import { CommunitiesProcessor } from './processors/communities.processor.js';
import { IngestionProcessor } from './processors/ingestion.processor.js';
import { MaintenanceProcessor } from './processors/maintenance.processor.js';
import { SummariesProcessor } from './processors/summaries.processor.js';
import { WarmupProcessor } from './processors/warmup.processor.js';
import { JOB_PROCESSORS, type JobProcessor } from './runner/job-processor.js';
import { JobRunner } from './runner/job-runner.js';
import { Upkeep } from './runner/upkeep.js';
import { PlannerStatistics } from './upkeep/planner-statistics.js';

/** What works on the queues; an application that runs them in its own way provides these itself. */
export const PROCESSORS = [
  IngestionProcessor,
  SummariesProcessor,
  CommunitiesProcessor,
  WarmupProcessor,
  MaintenanceProcessor,
];

/** The processors of every queue; needs `RuntimeModule` beside it. */
@Module({
  providers: [
    ...PROCESSORS,
    {
      provide: JOB_PROCESSORS,
      useFactory: (...processors: JobProcessor[]) => processors,
      inject: PROCESSORS,
    },
    JobRunner,
    PlannerStatistics,
    Upkeep,
  ],
})
export class WorkerModule {}
