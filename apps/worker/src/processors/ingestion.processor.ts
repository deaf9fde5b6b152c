import { Inject, Injectable } from '@nestjs/common';
import { IngestionService } from '@sparkle/graphrag';
import type { JobPayload } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';

/** Turns an uploaded document into chunks, a graph and embeddings. */
@Injectable()
export class IngestionProcessor implements JobProcessor<'ingestion'> {
  readonly queue = 'ingestion';

  constructor(@Inject(IngestionService) private readonly ingestion: IngestionService) {}

  async process({ tenantId, jobId }: JobPayload<'ingestion'>, { signal }: JobAttempt): Promise<void> {
    await this.ingestion.process({ tenantId, jobId, signal });
  }

  async giveUp({ tenantId, jobId }: JobPayload<'ingestion'>, error: unknown): Promise<void> {
    await this.ingestion.fail({ tenantId, jobId, error });
  }
}
