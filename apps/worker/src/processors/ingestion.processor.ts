import { Inject, Injectable } from '@nestjs/common';
import { channels } from '@sparkle/contracts';
import { IngestionService } from '@sparkle/graphrag';
import type { JobPayload } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';

/** Turns an uploaded document into chunks, a graph and embeddings. */
@Injectable()
export class IngestionProcessor implements JobProcessor<'ingestion'> {
  readonly queue = 'ingestion';

  constructor(@Inject(IngestionService) private readonly ingestion: IngestionService) {}

  async process(
    { tenantId, jobId, subjectId }: JobPayload<'ingestion'>,
    { signal, report }: JobAttempt,
  ): Promise<void> {
    const unsubscribe = channels.ingestion.subscribe(({ documentId, ...event }) => {
      if (documentId === subjectId && event.tenantId === tenantId) report({ step: event.step });
    });
    try {
      await this.ingestion.process({ tenantId, jobId, signal });
    } finally {
      unsubscribe();
    }
  }

  async giveUp({ tenantId, jobId }: JobPayload<'ingestion'>, error: unknown): Promise<void> {
    await this.ingestion.fail({ tenantId, jobId, error });
  }
}
