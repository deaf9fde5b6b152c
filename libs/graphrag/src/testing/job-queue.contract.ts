import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobQueue, JobTicket } from '../ports/job-queue.port.js';

export interface JobQueueSubject {
  readonly queue: JobQueue;
  /** Takes everything that was enqueued and not yet taken, in the order workers would get it. */
  take(): Promise<readonly JobTicket[]>;
  close(): Promise<void>;
}

/** Every guarantee of the {@link JobQueue} port; run it against each adapter. */
export function jobQueueContract(name: string, create: () => Promise<JobQueueSubject>): void {
  describe(`${name} keeps the job queue contract`, () => {
    let subject: JobQueueSubject;
    beforeAll(async () => {
      subject = await create();
    });
    afterAll(() => subject?.close());

    const ticket = (): JobTicket => ({
      tenantId: parseTenantId('contract'),
      jobId: randomUUID(),
      kind: 'ingestion',
      subjectId: randomUUID(),
    });

    it('hands tickets to workers as they were given, in order', async () => {
      const tickets = [ticket(), ticket(), ticket()];
      for (const each of tickets) await subject.queue.enqueue(each);
      expect(await subject.take()).toEqual(tickets);
    });

    it('hands a job out once when it was enqueued twice before a worker took it', async () => {
      const once = ticket();
      await subject.queue.enqueue(once);
      await subject.queue.enqueue({ ...once });
      expect(await subject.take()).toEqual([once]);
    });
  });
}
