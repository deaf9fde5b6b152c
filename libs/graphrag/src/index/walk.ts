import type { Csr } from './csr.js';
import type { Steps } from './steps.js';

/**
 * The random walk over nodes and chunks: vertex `v < nodeCount` is a node, `nodeCount + c` is chunk `c`.
 * `probabilities` of a vertex add up to 1; a vertex without neighbours has none.
 */
export interface Walk extends Csr {
  readonly nodeCount: number;
  readonly vertexCount: number;
  readonly probabilities: Float32Array;
  readonly bytes: number;
}

interface WalkInput {
  readonly nodeCount: number;
  readonly edges: {
    readonly source: Int32Array;
    readonly target: Int32Array;
    readonly weight: Float32Array;
    readonly confidence: Float32Array;
  };
  readonly nodeEdges: Csr;
  readonly nodeChunks: Csr & { readonly counts: Uint16Array };
  readonly chunkNodes: Csr & { readonly counts: Uint16Array };
}

/** What a mention weighs in the walk, in either direction. */
export function mentionWeight(count: number): number {
  return 1 + Math.log(Math.max(1, count));
}

/** An edge that nobody is sure of is walked a little, so that every neighbour has a probability. */
const LEAST_CONFIDENCE = 0.01;

/** What an edge weighs in the walk, in either direction. An edge of a node to itself is not walked. */
export function edgeWeight(weight: number, confidence: number): number {
  return weight * Math.max(LEAST_CONFIDENCE, confidence);
}

/**
 * Turns the weights from `start` up to `end` into probabilities, in place. Every reader of the graph calls this
 * with the same weights in the same order, so that all get the same bits.
 */
export function normaliseRow(weights: Float32Array, start: number, end: number): void {
  let sum = 0;
  for (let at = start; at < end; at += 1) sum += weights[at]!;
  for (let at = start; at < end; at += 1) weights[at]! /= sum;
}

/**
 * Walks mentions and edges, each in either direction. At a node the passages that mention it come first, then its
 * edges; at a passage there are the nodes it mentions. Each kind is in the order of ids.
 */
export function* buildWalk(input: WalkInput): Steps<Walk> {
  const { nodeCount, edges, nodeChunks, nodeEdges, chunkNodes } = input;
  const chunkCount = chunkNodes.offsets.length - 1;
  const vertexCount = nodeCount + chunkCount;
  const offsets = new Int32Array(vertexCount + 1);
  const most = nodeChunks.columns.length + nodeEdges.columns.length + chunkNodes.columns.length;
  const columns = new Int32Array(most);
  const probabilities = new Float32Array(most);
  let at = 0;
  const push = (vertex: number, weight: number) => {
    columns[at] = vertex;
    probabilities[at] = weight;
    at += 1;
  };
  for (let node = 0; node < nodeCount; node += 1) {
    for (let row = nodeChunks.offsets[node]!; row < nodeChunks.offsets[node + 1]!; row += 1)
      push(nodeCount + nodeChunks.columns[row]!, mentionWeight(nodeChunks.counts[row]!));
    for (let row = nodeEdges.offsets[node]!; row < nodeEdges.offsets[node + 1]!; row += 1) {
      const edge = nodeEdges.columns[row]!;
      const other = edges.source[edge] === node ? edges.target[edge]! : edges.source[edge]!;
      if (other !== node) push(other, edgeWeight(edges.weight[edge]!, edges.confidence[edge]!));
    }
    offsets[node + 1] = at;
    normaliseRow(probabilities, offsets[node]!, at);
    if (node % 1024 === 0) yield;
  }
  for (let chunk = 0; chunk < chunkCount; chunk += 1) {
    for (let row = chunkNodes.offsets[chunk]!; row < chunkNodes.offsets[chunk + 1]!; row += 1)
      push(chunkNodes.columns[row]!, mentionWeight(chunkNodes.counts[row]!));
    offsets[nodeCount + chunk + 1] = at;
    normaliseRow(probabilities, offsets[nodeCount + chunk]!, at);
    if (chunk % 1024 === 0) yield;
  }
  const bytes = offsets.byteLength + columns.byteLength + probabilities.byteLength;
  return { nodeCount, vertexCount, offsets, columns, probabilities, bytes };
}
