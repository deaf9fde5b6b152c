import type { TenantId } from '@sparkle/contracts';
import type { Note } from '../summaries/notes.js';

/** A stored summary of messages `1…toSeq`. */
export interface Summary {
  readonly toSeq: number;
  readonly content: string;
  readonly notes: readonly Note[];
  readonly method: SummaryMethod;
  readonly tokens: number;
}

/**
 * How a summary was made: by the model from whole batches, by the model from split batches (token limit), by
 * picking sentences (rate limit), or by keeping the last three messages (any other failure).
 */
export type SummaryMethod = 'model' | 'model-split' | 'heuristic' | 'last-messages';

export interface SummaryCacheKey {
  readonly tenantId: TenantId;
  readonly conversationId: string;
  /** Part of the key: an entry never changes, so it never goes stale. */
  readonly toSeq: number;
}

/** Keeps summaries near. A failure counts as a miss; memory then reads PostgreSQL. */
export interface SummaryCache {
  get(key: SummaryCacheKey): Promise<Summary | undefined>;
  set(key: SummaryCacheKey, summary: Summary, ttlMs: number): Promise<void>;
  /** Drops every summary of a conversation that was deleted. */
  forget(conversation: Omit<SummaryCacheKey, 'toSeq'>): Promise<void>;
}

/** Injection token of the {@link SummaryCache} port. Optional. */
export const SummaryCache = Symbol('SummaryCache');

/** How long a summary is cached, in milliseconds: `min(3600 s, 10 s × characters)`. */
export function summaryTtlMs(content: string): number {
  return Math.min(3_600_000, 10_000 * content.length);
}
