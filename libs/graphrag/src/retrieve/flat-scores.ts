import { analyse } from '../index/analyse.js';
import { bestScored } from '../index/best-scored.js';
import type { GraphReader } from '../index/graph-reader.port.js';
import type { RankedChunk } from '../model.js';
import { USUAL_DENSE_SHARE } from './embedding-strength.js';
import type { RetrievalDependencies, RetrievalQuery } from './retrieval-query.js';

/** How many chunks the dense search contributes. */
const DENSE_CANDIDATES = 100;

/** The baseline's scores of a question. */
export interface FlatScores {
  /** The best chunks, best first, and their scores. */
  readonly best: readonly (readonly [chunk: number, score: number])[];
  /** The scores of these chunks, in their order. */
  of(chunks: readonly number[]): Promise<readonly number[]>;
  /** What some of the question's terms contribute to the scores of these chunks, in their order. */
  partOf(terms: readonly string[], chunks: readonly number[]): Promise<readonly number[]>;
}

/**
 * The baseline's score of a chunk: BM25 and cosine by the query's `denseShare`, which is 0.7 to 0.3 by default. BM25 is relative to the question's best chunk; cosines
 * are scaled to `[0, 1]` within the dense candidates, and chunks outside of them have the dense score 0. `limit`
 * is the length of {@link FlatScores.best}.
 */
export async function flatScores(
  reader: GraphReader,
  query: RetrievalQuery,
  limit: number,
  dependencies: RetrievalDependencies,
): Promise<FlatScores> {
  const searching = query.vector ? dependencies.vectors.search(query.vector, DENSE_CANDIDATES) : undefined;
  const [hits, lexical] = await Promise.all([
    searching ?? [],
    reader.searchPassages(analyse(query.question), limit),
  ]);
  const lexicalShare = 1 - (query.denseShare ?? USUAL_DENSE_SHARE);
  const highest = lexical.best[0]?.score ?? 1;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { similarity } of hits) {
    low = Math.min(low, similarity);
    high = Math.max(high, similarity);
  }
  const near = await reader.chunksOf(hits.map(({ chunkId }) => chunkId));
  const dense = new Map<number, number>();
  hits.forEach(({ similarity }, at) => {
    const chunk = near[at];
    if (chunk === undefined) return;
    dense.set(chunk, (1 - lexicalShare) * (high > low ? (similarity - low) / (high - low) : 1));
  });
  const joined = (chunk: number, score: number) => (lexicalShare * score) / highest + (dense.get(chunk) ?? 0);
  const of = async (chunks: readonly number[]) => {
    const scores = await lexical.scores(chunks);
    return chunks.map((chunk, at) => joined(chunk, scores[at]!));
  };

  const partOf = async (terms: readonly string[], chunks: readonly number[]) => {
    const part = await reader.searchPassages(terms, 0);
    return Array.from(await part.scores(chunks), (score) => (lexicalShare * score) / highest);
  };

  const scored = new Map(lexical.best.map(({ ref, score }) => [ref, joined(ref, score)]));
  const others = [...dense.keys()].filter((chunk) => !scored.has(chunk));
  const otherScores = await of(others);
  others.forEach((chunk, at) => {
    scored.set(chunk, otherScores[at]!);
  });
  const best = bestChunks(reader, scored, limit);
  return { best: best.map((chunk) => [chunk, scored.get(chunk)!]), of, partOf };
}

/** The `limit` chunks of the greatest positive scores, best first; equal ones in the order of their ids. */
export function bestChunks(
  reader: GraphReader,
  scores: ReadonlyMap<number, number>,
  limit: number,
): number[] {
  return bestScored(
    scores.keys(),
    (chunk) => scores.get(chunk)!,
    limit,
    (left, right) => reader.chunkId(left) < reader.chunkId(right),
  );
}

/** Chunks, best first, as a result gives them: with scores relative to the best. */
export async function rankedChunks(
  reader: GraphReader,
  chunks: readonly number[],
  scores: ReadonlyMap<number, number>,
): Promise<RankedChunk[]> {
  await reader.loadChunks(chunks);
  const best = chunks.length > 0 ? scores.get(chunks[0]!)! : 1;
  return chunks.map((chunk) => {
    const { id, documentId, documentTitle, headings, text, tokens } = reader.chunk(chunk);
    const score = scores.get(chunk)! / best;
    return { chunkId: id, documentId, documentTitle, headings, text, tokens, score };
  });
}
