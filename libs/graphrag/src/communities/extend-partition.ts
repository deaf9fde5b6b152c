import type { WeightedGraph } from './community-graph.js';
import { renumbered } from './partition.js';

/** Rounds in which vertices that reach a community only through new ones get theirs. */
const ROUNDS = 4;

/**
 * Keeps communities and lets new vertices join the one they are most strongly connected with, so that a few new
 * documents change few communities. Vertices that no community reaches form new ones with those they reach.
 *
 * @param known the community of each vertex, -1 for a new one.
 * @returns the community of every vertex; numbers from `known` are kept, new ones are greater.
 */
export function extendPartition(graph: WeightedGraph, known: Int32Array): Int32Array {
  const communities = known.slice();
  const { source, target, weight } = graph;
  const touching = Array.from(source.keys()).filter(
    (edge) => known[source[edge]!]! < 0 || known[target[edge]!]! < 0,
  );
  for (let round = 0; round < ROUNDS; round += 1) {
    const pull = new Map<number, Map<number, number>>();
    const attract = (vertex: number, by: number, strength: number) => {
      if (communities[vertex]! >= 0 || communities[by]! < 0) return;
      const strengths = pull.get(vertex) ?? new Map<number, number>();
      strengths.set(communities[by]!, (strengths.get(communities[by]!) ?? 0) + strength);
      pull.set(vertex, strengths);
    };
    for (const edge of touching) {
      attract(source[edge]!, target[edge]!, weight[edge]!);
      attract(target[edge]!, source[edge]!, weight[edge]!);
    }
    if (pull.size === 0) break;
    for (const [vertex, strengths] of pull) {
      const [best] = [...strengths].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
      communities[vertex] = best![0];
    }
  }
  return joinComponents(graph, communities, touching);
}

function joinComponents(
  { source, target }: WeightedGraph,
  communities: Int32Array,
  touching: readonly number[],
): Int32Array {
  const root = Int32Array.from(communities.keys());
  const find = (vertex: number): number => {
    let at = vertex;
    while (root[at] !== at) {
      root[at] = root[root[at]!]!;
      at = root[at]!;
    }
    return at;
  };
  for (const edge of touching) {
    const [left, right] = [source[edge]!, target[edge]!];
    if (communities[left]! < 0 && communities[right]! < 0) root[find(left)] = find(right);
  }
  const next = communities.reduce((most, community) => Math.max(most, community), -1) + 1;
  const alone = renumbered(
    Array.from(communities.keys())
      .filter((vertex) => communities[vertex]! < 0)
      .map(find),
  );
  let at = 0;
  return communities.map((community) => (community < 0 ? next + alone[at++]! : community));
}
