export type { JobAttempt, JobProcessor } from './runner/job-processor.js';
export { PROCESSORS, WorkerModule } from './worker.module.js';
