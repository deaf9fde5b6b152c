import type { Priority } from '@sparkle/concurrency';
import type { SummaryRequest, SummaryRequests } from '@sparkle/conversation';
import type { JobQueues } from './job-queues.js';

/** The summaries queue as `@sparkle/conversation` sees it: one job per conversation and state of it. */
export class BullSummaryRequests implements SummaryRequests {
  /** @param priority class of the jobs; default `high`, for somebody is talking. */
  constructor(
    private readonly queues: JobQueues,
    private readonly priority: Priority = 'high',
  ) {}

  async request(request: SummaryRequest): Promise<void> {
    const { tenantId, conversationId, upToSeq } = request;
    const jobId = `${tenantId}-${conversationId}-${upToSeq}`;
    await this.queues.add('summaries', jobId, request, { priority: this.priority });
  }
}
