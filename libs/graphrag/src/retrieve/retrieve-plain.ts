import type { GraphReader } from '../index/graph-reader.port.js';
import type { RetrievalResult } from '../model.js';
import { flatScores, rankedChunks } from './flat-scores.js';
import { DEFAULT_CHUNK_LIMIT, type RetrievalDependencies, type RetrievalQuery } from './retrieval-query.js';
import { routeQuestion } from './route-question.js';

/** The baseline without a graph: keyword and dense search joined, see {@link flatScores}. */
export async function retrievePlain(
  reader: GraphReader,
  query: RetrievalQuery,
  dependencies: RetrievalDependencies,
): Promise<RetrievalResult> {
  const started = dependencies.clock.monotonic();
  const { best } = await flatScores(reader, query, query.limit ?? DEFAULT_CHUNK_LIMIT, dependencies);
  const chunks = await rankedChunks(
    reader,
    best.map(([chunk]) => chunk),
    new Map(best),
  );
  return {
    strategy: 'plain',
    route: routeQuestion({ question: query.question, namedPlaces: 0, trust: 0, coverage: 0 }),
    chunks,
    paths: [],
    linked: [],
    durationMs: dependencies.clock.monotonic() - started,
  };
}
