import type { TenantId } from '@sparkle/contracts';

/** What a worker is told: which row of `jobs` to work on. Everything else is in the database. */
export interface JobTicket {
  readonly tenantId: TenantId;
  readonly jobId: string;
  readonly kind: 'ingestion';
  /** The document a job of kind `ingestion` reads. */
  readonly subjectId: string;
}

/**
 * Hands a job to the workers. The `jobs` row is committed before, so a ticket that gets lost is found again
 * by a sweep over {@link JobService.unfinishedJobs}; enqueueing the same `jobId` twice must be harmless.
 */
export interface JobQueue {
  enqueue(ticket: JobTicket): Promise<void>;
}

/** Injection token of the {@link JobQueue} port. */
export const JobQueue = Symbol('JobQueue');
