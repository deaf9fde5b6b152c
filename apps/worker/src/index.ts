export type { JobAttempt, JobProcessor } from './runner/job-processor.js';
export { PlannerStatistics } from './upkeep/planner-statistics.js';
export { PROCESSORS, WorkerModule } from './worker.module.js';
