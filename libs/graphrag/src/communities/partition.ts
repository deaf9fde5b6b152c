import { UndirectedGraph } from 'graphology';
import louvain from 'graphology-communities-louvain';
import type { WeightedGraph } from './community-graph.js';

/** A CommonJS module that declares itself as an ES one: its default export is the module itself. */
const detect = louvain as unknown as typeof louvain.default;

/** The community of each vertex, numbered from 0, on two levels; fine ones lie within coarse ones. */
export interface Partition {
  readonly fine: Int32Array;
  readonly coarse: Int32Array;
}

/**
 * Communities by Louvain's method (Blondel et al. 2008): the last level of its hierarchy and the one before.
 * Without a random walk over the vertices the same graph gives the same communities.
 */
export function partitionGraph(graph: WeightedGraph): Partition {
  const { vertexCount, source, target, weight } = graph;
  if (source.length === 0) {
    const alone = Int32Array.from({ length: vertexCount }, (_, vertex) => vertex);
    return { fine: alone, coarse: alone };
  }
  const network = new UndirectedGraph();
  for (let vertex = 0; vertex < vertexCount; vertex += 1) network.addNode(vertex);
  for (let edge = 0; edge < source.length; edge += 1)
    network.updateEdge(source[edge]!, target[edge]!, (attributes) => ({
      weight: ((attributes.weight as number | undefined) ?? 0) + weight[edge]!,
    }));
  const { dendrogram } = detect.detailed(network, { randomWalk: false, getEdgeWeight: 'weight' });
  // The first level has each vertex alone, and the last two are equal when no move was left to make.
  const levels = dendrogram.slice(1).map((level) => renumbered(level));
  const coarse = levels.at(-1) ?? renumbered(dendrogram[0]!);
  const fine = levels.findLast((level) => highest(level) > highest(coarse)) ?? coarse;
  return { fine, coarse };
}

/** Numbers communities in the order in which vertices show them. */
export function renumbered(communities: ArrayLike<number>): Int32Array {
  const numbers = new Map<number, number>();
  return Int32Array.from(communities, (community) => {
    const known = numbers.get(community);
    if (known !== undefined) return known;
    numbers.set(community, numbers.size);
    return numbers.size - 1;
  });
}

function highest(level: Int32Array): number {
  return level.reduce((most, community) => Math.max(most, community), -1);
}
