import type { TenantId } from '@sparkle/contracts';

/** Turns a question into a vector of norm 1 whose dot products are cosine similarities. */
export interface QuestionEmbedder {
  /** Stable name. Entries of different embedders never meet. */
  readonly id: string;
  readonly dimensions: number;
  /**
   * Similarity from which two questions that pass the gates count as the same, measured for this embedder.
   * Default: the cache's own threshold.
   */
  readonly semanticThreshold?: number;
  embed(tenantId: TenantId, text: string, signal?: AbortSignal): Promise<Float32Array>;
}

/** Injection token of the {@link QuestionEmbedder} port. */
export const QuestionEmbedder = Symbol('QuestionEmbedder');
