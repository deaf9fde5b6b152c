import { Inject, Injectable } from '@nestjs/common';
import { CommunityService } from '@sparkle/graphrag';
import type { JobPayload } from '@sparkle/runtime';
import type { JobAttempt, JobProcessor } from '../runner/job-processor.js';

/** Brings a tenant's communities and their summaries up to date. */
@Injectable()
export class CommunitiesProcessor implements JobProcessor<'communities'> {
  readonly queue = 'communities';

  constructor(@Inject(CommunityService) private readonly communities: CommunityService) {}

  /** What the tenant's budget or the bound of one refresh leaves over is due again at the next sweep. */
  async process({ tenantId }: JobPayload<'communities'>, { signal }: JobAttempt): Promise<void> {
    await this.communities.refresh({ tenantId, signal });
  }
}
