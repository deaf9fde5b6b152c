import { Inject, Injectable } from '@nestjs/common';
import { SummaryRequests, SummaryService } from '@sparkle/conversation';
import type { JobProcessor } from '../runner/job-processor.js';

/** Asks for the summaries that active conversations lack. */
@Injectable()
export class WarmupProcessor implements JobProcessor<'warmup'> {
  readonly queue = 'warmup';

  constructor(
    @Inject(SummaryService) private readonly summaries: SummaryService,
    @Inject(SummaryRequests) private readonly requests: SummaryRequests,
  ) {}

  async process(): Promise<void> {
    for (const { tenantId, conversationId, messageCount } of await this.summaries.warmupCandidates())
      await this.requests.request({ tenantId, conversationId, upToSeq: messageCount });
  }
}
