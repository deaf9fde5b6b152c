import { Inject, Injectable } from '@nestjs/common';
import { parseTenantId, SystemDatabase, TenantDatabase, type TenantId } from '@sparkle/contracts';
import { findJobs, type JobView, reopenJob } from '../adapters/postgres/job.store.js';
import { JobNotFoundError } from '../errors.js';
import type { JobTicket } from '../ports/job-queue.port.js';
import { isUuid } from './document.service.js';

/** The state of work that users do not wait for. */
@Injectable()
export class JobService {
  constructor(
    @Inject(TenantDatabase) private readonly database: TenantDatabase,
    @Inject(SystemDatabase) private readonly system: SystemDatabase,
  ) {}

  /** @throws JobNotFoundError when the tenant has no such job. */
  async get(tenantId: TenantId, jobId: string): Promise<JobView> {
    if (!isUuid(jobId)) throw new JobNotFoundError();
    const job = await this.database.withTenant(tenantId, async (sql) =>
      (await findJobs(sql, tenantId, [jobId])).get(jobId),
    );
    if (!job) throw new JobNotFoundError();
    return job;
  }

  /**
   * Prepares a job that was given up for another run: it and its document are waiting again, after the last step
   * that was recorded. False when there is nothing left to do: the job is unknown or completed, or its document was
   * deleted, became ready, or was given a newer job.
   */
  async reopen(tenantId: TenantId, jobId: string): Promise<boolean> {
    if (!isUuid(jobId)) return false;
    const job = await this.database.withTenant(tenantId, async (sql) => {
      await reopenJob(sql, tenantId, jobId);
      return (await findJobs(sql, tenantId, [jobId])).get(jobId);
    });
    return job?.state === 'queued' || job?.state === 'running';
  }

  /**
   * Ingestions of all tenants that are neither completed nor failed and have not moved for `idleMs` (default 60
   * s, on the database's clock): what a sweeper enqueues again. Oldest first, `limit` (default 1,000) at most.
   */
  async unfinishedJobs(options: { idleMs?: number; limit?: number } = {}): Promise<JobTicket[]> {
    const rows = await this.system.asSystem((sql) =>
      sql.query<{ tenant_id: string; id: string; subject_id: string }>(
        `SELECT tenant_id, id, subject_id FROM jobs
         WHERE state IN ('queued', 'running') AND kind = 'ingestion' AND updated_at <= now() - $1 * interval '1 millisecond'
         ORDER BY updated_at LIMIT $2`,
        [options.idleMs ?? 60_000, options.limit ?? 1000],
      ),
    );
    return rows.map((row) => ({
      tenantId: parseTenantId(row.tenant_id),
      jobId: row.id,
      kind: 'ingestion',
      subjectId: row.subject_id,
    }));
  }
}
