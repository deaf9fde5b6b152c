import type { JobQueue, JobTicket } from '@sparkle/graphrag';
import type { JobQueues } from './job-queues.js';

/** The ingestion queue as `@sparkle/graphrag` sees it. A job of the queue has the id of its row in `jobs`. */
export class BullJobQueue implements JobQueue {
  constructor(private readonly queues: JobQueues) {}

  async enqueue(ticket: JobTicket): Promise<void> {
    await this.queues.add('ingestion', ticket.jobId, ticket, { priority: 'high' });
  }
}
