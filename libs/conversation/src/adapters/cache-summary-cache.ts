import type { CacheService } from '@sparkle/cache';
import type { Summary, SummaryCache, SummaryCacheKey } from '../ports/summary-cache.port.js';

const NAMESPACE = 'conversation-summaries';

/** Summaries in the tenant's part of `@sparkle/cache`. Clearing the tenant clears them, too. */
export class CacheSummaryCache implements SummaryCache {
  constructor(private readonly cache: Pick<CacheService, 'get' | 'set' | 'deleteByTag'>) {}

  get({ tenantId, conversationId, toSeq }: SummaryCacheKey): Promise<Summary | undefined> {
    return this.cache.get<Summary>({ tenantId, namespace: NAMESPACE }, `${conversationId}:${toSeq}`);
  }

  async set(
    { tenantId, conversationId, toSeq }: SummaryCacheKey,
    summary: Summary,
    ttlMs: number,
  ): Promise<void> {
    await this.cache.set({ tenantId, namespace: NAMESPACE }, `${conversationId}:${toSeq}`, summary, {
      ttlMs,
      jitter: 0,
      tags: [conversationId],
    });
  }

  async forget({ tenantId, conversationId }: Omit<SummaryCacheKey, 'toSeq'>): Promise<void> {
    await this.cache.deleteByTag({ tenantId, namespace: NAMESPACE }, conversationId);
  }
}
