import type { TenantId } from '@sparkle/contracts';
import type { RankedChunk } from '../model.js';

export interface RerankRequest {
  readonly tenantId: TenantId;
  readonly question: string;
  /** Candidates, best first. */
  readonly chunks: readonly RankedChunk[];
  readonly signal?: AbortSignal;
}

/**
 * Orders passages by how well they answer a question. It may leave some out: those keep their order behind the
 * others. Whatever it does, retrieval goes on without it when it fails or takes too long.
 */
export interface Reranker {
  /** Stable name. */
  readonly id: string;
  /** Ids of the candidates, best first. */
  rerank(request: RerankRequest): Promise<readonly string[]>;
}

/** Injection token of the {@link Reranker} port. There is none by default. */
export const Reranker = Symbol('Reranker');
