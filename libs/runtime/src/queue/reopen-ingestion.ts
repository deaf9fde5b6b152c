import type { JobService } from '@sparkle/graphrag';
import type { Reopen } from './dead-letters.js';

/** Sets the rows of a failed ingestion and of its document back to the step where it stopped. */
export function reopenIngestion(jobs: Pick<JobService, 'reopen'>): Reopen {
  return async (payload) => 'jobId' in payload && jobs.reopen(payload.tenantId, payload.jobId);
}
