import { parseTenantId } from '@sparkle/contracts';
import { ConversationNotFoundError } from '@sparkle/conversation';
import { describe, expect, it } from 'vitest';
import { SummariesProcessor } from '../src/processors/summaries.processor.js';

const job = { tenantId: parseTenantId('demo'), conversationId: 'c1', upToSeq: 20 };

function run(failure: unknown): Promise<void> {
  const processor = new SummariesProcessor({ process: () => Promise.reject(failure) } as never);
  return processor.process(job as never, { signal: new AbortController().signal } as never);
}

describe('a summary that was asked for', () => {
  it('of a conversation deleted meanwhile is done, and not tried again', async () => {
    await expect(run(new ConversationNotFoundError())).resolves.toBeUndefined();
  });

  it('and failed is tried again', async () => {
    await expect(run(new Error('broken'))).rejects.toThrow('broken');
  });
});
