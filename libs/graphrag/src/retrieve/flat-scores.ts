import { analyse } from '../index/analyse.js';
import type { GraphSnapshot } from '../index/graph-snapshot.js';
import type { RankedChunk } from '../model.js';
import type { RetrievalDependencies, RetrievalQuery } from './retrieval-query.js';

/** How many chunks the dense search contributes. */
const DENSE_CANDIDATES = 100;
const LEXICAL_SHARE = 0.7;

/**
 * The baseline's score of every chunk: 0.7 BM25 + 0.3 cosine, each scaled to `[0, 1]` within the question
 * (minimum to maximum). A chunk outside the dense candidates has the dense score 0.
 */
export async function flatScores(
  snapshot: GraphSnapshot,
  query: RetrievalQuery,
  dependencies: RetrievalDependencies,
): Promise<Float32Array> {
  const pending = query.vector ? dependencies.vectors.search(query.vector, DENSE_CANDIDATES) : undefined;
  const scores = scaleToUnit(snapshot.passages.score(analyse(query.question)));
  for (let chunk = 0; chunk < scores.length; chunk += 1) scores[chunk]! *= LEXICAL_SHARE;
  const hits = (await pending) ?? [];
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { similarity } of hits) {
    low = Math.min(low, similarity);
    high = Math.max(high, similarity);
  }
  for (const { chunkId, similarity } of hits) {
    const chunk = snapshot.chunkIndex.get(chunkId);
    if (chunk === undefined) continue;
    scores[chunk]! += (1 - LEXICAL_SHARE) * (high > low ? (similarity - low) / (high - low) : 1);
  }
  return scores;
}

/** Scales so that the least value becomes 0 and the greatest 1; equal values all become 0. */
export function scaleToUnit(values: Float32Array): Float32Array {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = high - low;
  return values.map((value) => (range > 0 ? (value - low) / range : 0));
}

/** The numbers of the `limit` greatest positive scores, best first; equal ones in order of number. */
export function topIndexes(scores: ArrayLike<number>, limit: number): number[] {
  const heap: number[] = [];
  const worse = (left: number, right: number) =>
    scores[left]! < scores[right]! || (scores[left] === scores[right] && left > right);
  const siftDown = (at: number) => {
    let parent = at;
    for (;;) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < heap.length && worse(heap[child]!, heap[least]!)) least = child;
      }
      if (least === parent) return;
      [heap[parent], heap[least]] = [heap[least]!, heap[parent]!];
      parent = least;
    }
  };
  for (let index = 0; index < scores.length; index += 1) {
    if (!(scores[index]! > 0)) continue;
    if (heap.length < limit) {
      heap.push(index);
      for (let child = heap.length - 1; child > 0; ) {
        const parent = (child - 1) >> 1;
        if (!worse(heap[child]!, heap[parent]!)) break;
        [heap[parent], heap[child]] = [heap[child]!, heap[parent]!];
        child = parent;
      }
    } else if (limit > 0 && worse(heap[0]!, index)) {
      heap[0] = index;
      siftDown(0);
    }
  }
  return heap.sort((left, right) => (worse(left, right) ? 1 : -1));
}

/** The best chunks by score, with scores relative to the best. */
export function rankChunks(snapshot: GraphSnapshot, scores: ArrayLike<number>, limit: number): RankedChunk[] {
  const top = topIndexes(scores, limit);
  const best = top.length > 0 ? scores[top[0]!]! : 1;
  return top.map((index) => {
    const { id, documentId, documentTitle, headings, text, tokens } = snapshot.chunks[index]!;
    return { chunkId: id, documentId, documentTitle, headings, text, tokens, score: scores[index]! / best };
  });
}
