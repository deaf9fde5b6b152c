import { Inject, Injectable } from '@nestjs/common';
import { ConversationNotFoundError, SummaryService } from '@sparkle/conversation';
import type { JobPayload } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';

/** Brings the summary of a conversation up to date. */
@Injectable()
export class SummariesProcessor implements JobProcessor<'summaries'> {
  readonly queue = 'summaries';

  constructor(@Inject(SummaryService) private readonly summaries: SummaryService) {}

  async process(
    { tenantId, conversationId }: JobPayload<'summaries'>,
    { signal }: JobAttempt,
  ): Promise<void> {
    try {
      await this.summaries.process({ tenantId, conversationId, signal });
    } catch (error) {
      // Deleted since the summary was asked for: there is nothing left to do, now or in a retry.
      if (!(error instanceof ConversationNotFoundError)) throw error;
    }
  }
}
