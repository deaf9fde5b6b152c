import { Inject, Injectable } from '@nestjs/common';
import { SummaryRequests, SummaryService } from '@sparkle/conversation';
import { CommunityService } from '@sparkle/graphrag';
import { JobQueues } from '@sparkle/runtime';
import type { JobProcessor } from '../runner/job-processor.js';

/** Asks for the summaries that active conversations lack, and for the communities that are behind their corpus. */
@Injectable()
export class WarmupProcessor implements JobProcessor<'warmup'> {
  readonly queue = 'warmup';

  constructor(
    @Inject(SummaryService) private readonly summaries: SummaryService,
    @Inject(SummaryRequests) private readonly requests: SummaryRequests,
    @Inject(CommunityService) private readonly communities: CommunityService,
    @Inject(JobQueues) private readonly queues: JobQueues,
  ) {}

  async process(): Promise<void> {
    const [conversations, communities] = await Promise.allSettled([
      this.requestSummaries(),
      this.requestCommunities(),
    ]);
    for (const outcome of [conversations, communities])
      if (outcome.status === 'rejected') throw outcome.reason;
  }

  private async requestSummaries(): Promise<void> {
    for (const { tenantId, conversationId, messageCount } of await this.summaries.warmupCandidates())
      await this.requests.request({ tenantId, conversationId, upToSeq: messageCount });
  }

  /** One job per tenant at a time: what changes while it runs is due at the next sweep. */
  private async requestCommunities(): Promise<void> {
    for (const { tenantId, version } of await this.communities.due())
      await this.queues.add('communities', `communities-${tenantId}`, { tenantId, version });
  }
}
