import { setTimeout as delay } from 'node:timers/promises';
import type { RankedChunk } from '../model.js';
import type { Reranker, RerankRequest } from './reranker.port.js';

/** Candidates a reranker gets to see; the others stay behind them. */
const RERANKED_CHUNKS = 20;

export interface RerankOutcome {
  readonly chunks: readonly RankedChunk[];
  /** The reranker that ordered them; `undefined` when it failed or took too long. */
  readonly reranker?: string;
}

/**
 * Lets a reranker order the best chunks within `budgetMs`. Scores stay with their places, so they still fall.
 * Resolves to the chunks as they were when it fails, takes longer, or names what is not there. Only cancelling
 * `signal` rejects.
 */
export async function rerankChunks(
  reranker: Reranker,
  request: RerankRequest,
  budgetMs: number,
): Promise<RerankOutcome> {
  const { chunks, signal } = request;
  const head = chunks.slice(0, RERANKED_CHUNKS);
  if (head.length < 2) return { chunks };
  const over = new AbortController();
  const stop = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const timer = new AbortController();
  try {
    const order = await Promise.race([
      reranker.rerank({ ...request, chunks: head, signal: stop }),
      delay(budgetMs, undefined, { signal: timer.signal }),
    ]);
    if (order === undefined) return { chunks };
    return { chunks: [...inOrder(head, order), ...chunks.slice(RERANKED_CHUNKS)], reranker: reranker.id };
  } catch {
    signal?.throwIfAborted();
    return { chunks };
  } finally {
    timer.abort();
    over.abort();
  }
}

function inOrder(chunks: readonly RankedChunk[], order: readonly string[]): RankedChunk[] {
  const left = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]));
  const ordered: RankedChunk[] = [];
  for (const id of order) {
    const chunk = left.get(id);
    if (chunk && left.delete(id)) ordered.push(chunk);
  }
  return [...ordered, ...left.values()].map((chunk, at) => ({ ...chunk, score: chunks[at]!.score }));
}
