import type { Walk } from '../index/walk.js';

export interface PageRankOptions {
  /** Probability of going on instead of jumping back to the seeds. Default 0.5. */
  readonly damping?: number;
  /** Default 20: with damping 0.5 less than a millionth of the mass is on its way then. It stays where it is. */
  readonly rounds?: number;
  /** Mass below this stays where it is. Default 1e-7. */
  readonly tolerance?: number;
}

/**
 * Personalised PageRank (Haveliwala 2002) as the series `(1 − d) Σ dᵗ Pᵗ s` over the seeds `s`, which are
 * normalised to 1. Each round touches only vertices that hold mass, so a question costs its neighbourhood,
 * not the graph. Mass at a vertex without neighbours stays there.
 */
export function personalisedPageRank(
  walk: Walk,
  seeds: ReadonlyMap<number, number>,
  options: PageRankOptions = {},
): Float64Array {
  const damping = options.damping ?? 0.5;
  const rounds = options.rounds ?? 20;
  const tolerance = options.tolerance ?? 1e-7;
  const rank = new Float64Array(walk.vertexCount);
  let total = 0;
  for (const weight of seeds.values()) total += Math.max(0, weight);
  if (total === 0) return rank;

  let mass = new Float64Array(walk.vertexCount);
  let next = new Float64Array(walk.vertexCount);
  let frontier: number[] = [];
  for (const [vertex, weight] of seeds) {
    if (weight <= 0) continue;
    mass[vertex] = weight / total;
    frontier.push(vertex);
  }
  const { offsets, columns, probabilities } = walk;
  for (let round = 0; round <= rounds && frontier.length > 0; round += 1) {
    const reached: number[] = [];
    for (const vertex of frontier) {
      const here = mass[vertex]!;
      mass[vertex] = 0;
      const start = offsets[vertex]!;
      const end = offsets[vertex + 1]!;
      if (round === rounds || here < tolerance || start === end) {
        rank[vertex]! += here;
        continue;
      }
      rank[vertex]! += (1 - damping) * here;
      const onward = damping * here;
      for (let at = start; at < end; at += 1) {
        const neighbour = columns[at]!;
        if (next[neighbour] === 0) reached.push(neighbour);
        next[neighbour]! += onward * probabilities[at]!;
      }
    }
    [mass, next] = [next, mass];
    frontier = reached;
  }
  return rank;
}
