/**
 * Reciprocal rank fusion with k = 60 (Cormack, Clarke and Büttcher, SIGIR 2009): merges rankings whose scores
 * cannot be compared. Best first; equal scores put the newer message first.
 */
export function fuseRankings(rankings: readonly (readonly number[])[], limit: number): readonly number[] {
  const scores = new Map<number, number>();
  for (const ranking of rankings)
    ranking.forEach((seq, rank) => {
      scores.set(seq, (scores.get(seq) ?? 0) + 1 / (60 + rank + 1));
    });
  return [...scores]
    .sort(([leftSeq, left], [rightSeq, right]) => right - left || rightSeq - leftSeq)
    .slice(0, limit)
    .map(([seq]) => seq);
}
