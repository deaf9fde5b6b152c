/**
 * The `limit` numbers of the greatest positive scores, best first; of equal scores the one that `precedes` says
 * comes first. Costs one comparison for each number that is not among the best.
 */
export function bestScored(
  refs: Iterable<number>,
  scoreOf: (ref: number) => number,
  limit: number,
  precedes: (left: number, right: number) => boolean,
): number[] {
  if (limit <= 0) return [];
  const heap: number[] = [];
  const scores: number[] = [];
  const worse = (left: number, right: number) =>
    scores[left]! < scores[right]! || (scores[left] === scores[right] && precedes(heap[right]!, heap[left]!));
  const swap = (left: number, right: number) => {
    [heap[left], heap[right]] = [heap[right]!, heap[left]!];
    [scores[left], scores[right]] = [scores[right]!, scores[left]!];
  };
  const siftDown = () => {
    for (let parent = 0; ; ) {
      let least = parent;
      if (2 * parent + 1 < heap.length && worse(2 * parent + 1, least)) least = 2 * parent + 1;
      if (2 * parent + 2 < heap.length && worse(2 * parent + 2, least)) least = 2 * parent + 2;
      if (least === parent) return;
      swap(parent, least);
      parent = least;
    }
  };
  for (const ref of refs) {
    const score = scoreOf(ref);
    if (!(score > 0)) continue;
    if (heap.length < limit) {
      heap.push(ref);
      scores.push(score);
      for (let child = heap.length - 1; child > 0; ) {
        const parent = (child - 1) >> 1;
        if (!worse(child, parent)) break;
        swap(parent, child);
        child = parent;
      }
    } else if (score > scores[0]! || (score === scores[0] && precedes(ref, heap[0]!))) {
      heap[0] = ref;
      scores[0] = score;
      siftDown();
    }
  }
  return heap
    .map((_, place) => place)
    .sort((left, right) => (worse(left, right) ? 1 : -1))
    .map((place) => heap[place]!);
}
