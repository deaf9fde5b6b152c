/** A community with its members' ids. */
export interface MemberSet {
  readonly id: string;
  readonly members: ReadonlySet<string>;
}

/** From here on a community is the one of before; below, it is a new one. */
const SAME = 0.3;

/**
 * Gives communities the ids of earlier ones: pairs by the greatest overlap first (Jaccard), each id once, none for
 * an overlap below 0.3. The result is in the order of `communities`; `undefined` stands for a new one.
 */
export function matchCommunities(
  communities: readonly ReadonlySet<string>[],
  previous: readonly MemberSet[],
): (string | undefined)[] {
  const owners = new Map<string, number[]>();
  previous.forEach(({ members }, index) => {
    for (const member of members) {
      const known = owners.get(member);
      if (known) known.push(index);
      else owners.set(member, [index]);
    }
  });
  const pairs: { community: number; before: number; overlap: number }[] = [];
  communities.forEach((members, community) => {
    const shared = new Map<number, number>();
    for (const member of members)
      for (const before of owners.get(member) ?? []) shared.set(before, (shared.get(before) ?? 0) + 1);
    for (const [before, count] of shared) {
      const overlap = count / (members.size + previous[before]!.members.size - count);
      if (overlap >= SAME) pairs.push({ community, before, overlap });
    }
  });
  pairs.sort((a, b) => b.overlap - a.overlap || a.community - b.community || a.before - b.before);
  const result: (string | undefined)[] = communities.map(() => undefined);
  const taken = new Set<number>();
  for (const { community, before } of pairs) {
    if (result[community] !== undefined || taken.has(before)) continue;
    taken.add(before);
    result[community] = previous[before]!.id;
  }
  return result;
}
