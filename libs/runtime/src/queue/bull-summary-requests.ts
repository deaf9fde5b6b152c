import type { SummaryRequest, SummaryRequests } from '@sparkle/conversation';
import type { JobQueues } from './job-queues.js';

/** The summaries queue as `@sparkle/conversation` sees it: one job per conversation and state of it. */
export class BullSummaryRequests implements SummaryRequests {
  constructor(private readonly queues: JobQueues) {}

  async request(request: SummaryRequest): Promise<void> {
    const { tenantId, conversationId, upToSeq } = request;
    await this.queues.add('summaries', `${tenantId}-${conversationId}-${upToSeq}`, request);
  }
}
