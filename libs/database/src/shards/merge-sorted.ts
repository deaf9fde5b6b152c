/**
 * Merges lists that are sorted by `compare` each into one, and stops after `limit` items. Equal items come in
 * the order of their lists.
 */
export function mergeSorted<T>(
  lists: readonly (readonly T[])[],
  compare: (a: T, b: T) => number,
  limit = Number.POSITIVE_INFINITY,
): T[] {
  const merged: T[] = [];
  const next = lists.map(() => 0);
  while (merged.length < limit) {
    let least = -1;
    for (let list = 0; list < lists.length; list++) {
      if (next[list]! >= lists[list]!.length) continue;
      if (least < 0 || compare(lists[list]![next[list]!]!, lists[least]![next[least]!]!) < 0) least = list;
    }
    if (least < 0) break;
    merged.push(lists[least]![next[least]!]!);
    next[least]!++;
  }
  return merged;
}
