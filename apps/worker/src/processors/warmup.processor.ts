import { Inject, Injectable } from '@nestjs/common';
import { SummaryService } from '@sparkle/conversation';
import { CommunityService } from '@sparkle/graphrag';
import { BullSummaryRequests, type JobPayload, JobQueues } from '@sparkle/runtime';
import type { JobProcessor } from '../runner/job-processor.js';

/** Asks for the summaries that active conversations lack, or for the communities that are behind their corpus. */
@Injectable()
export class WarmupProcessor implements JobProcessor<'warmup'> {
  readonly queue = 'warmup';
  /** Behind the summaries that somebody's turn has asked for. */
  private readonly requests: BullSummaryRequests;

  constructor(
    @Inject(SummaryService) private readonly summaries: SummaryService,
    @Inject(CommunityService) private readonly communities: CommunityService,
    @Inject(JobQueues) private readonly queues: JobQueues,
  ) {
    this.requests = new BullSummaryRequests(queues, 'low');
  }

  async process({ task }: JobPayload<'warmup'>): Promise<void> {
    await (task === 'summaries' ? this.requestSummaries() : this.requestCommunities());
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
