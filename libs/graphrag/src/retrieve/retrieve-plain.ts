import type { GraphSnapshot } from '../index/graph-snapshot.js';
import type { RetrievalResult } from '../model.js';
import { flatScores, rankChunks } from './flat-scores.js';
import { DEFAULT_CHUNK_LIMIT, type RetrievalDependencies, type RetrievalQuery } from './retrieval-query.js';

/** The baseline without a graph: keyword and dense search joined, see {@link flatScores}. */
export async function retrievePlain(
  snapshot: GraphSnapshot,
  query: RetrievalQuery,
  dependencies: RetrievalDependencies,
): Promise<RetrievalResult> {
  const started = dependencies.clock.monotonic();
  const scores = await flatScores(snapshot, query, dependencies);
  const chunks = rankChunks(snapshot, scores, query.limit ?? DEFAULT_CHUNK_LIMIT);
  return {
    strategy: 'plain',
    chunks,
    paths: [],
    linked: [],
    durationMs: dependencies.clock.monotonic() - started,
  };
}
