import { buildCsr, type Csr } from './csr.js';

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
  readonly nodeChunks: Csr & { readonly counts: Float32Array };
  readonly chunkNodes: Csr;
}

/** A mention weighs `1 + ln(count)`, an edge `weight × confidence`; both are walked in either direction. */
export function buildWalk(input: WalkInput): Walk {
  const { nodeCount, edges, nodeChunks } = input;
  const chunkCount = input.chunkNodes.offsets.length - 1;
  const from: number[] = [];
  const to: number[] = [];
  const weights: number[] = [];
  const connect = (left: number, right: number, weight: number) => {
    if (!(weight > 0) || left === right) return;
    from.push(left, right);
    to.push(right, left);
    weights.push(weight, weight);
  };
  for (let node = 0; node < nodeCount; node += 1) {
    for (let at = nodeChunks.offsets[node]!; at < nodeChunks.offsets[node + 1]!; at += 1) {
      connect(node, nodeCount + nodeChunks.columns[at]!, 1 + Math.log(Math.max(1, nodeChunks.counts[at]!)));
    }
  }
  for (let edge = 0; edge < edges.source.length; edge += 1) {
    connect(edges.source[edge]!, edges.target[edge]!, edges.weight[edge]! * edges.confidence[edge]!);
  }
  const vertexCount = nodeCount + chunkCount;
  const { offsets, columns, order } = buildCsr(vertexCount, from, to);
  const probabilities = Float32Array.from(order, (at) => weights[at]!);
  for (let vertex = 0; vertex < vertexCount; vertex += 1) {
    let sum = 0;
    for (let at = offsets[vertex]!; at < offsets[vertex + 1]!; at += 1) sum += probabilities[at]!;
    for (let at = offsets[vertex]!; at < offsets[vertex + 1]!; at += 1) probabilities[at]! /= sum;
  }
  const bytes = offsets.byteLength + columns.byteLength + probabilities.byteLength;
  return { nodeCount, vertexCount, offsets, columns, probabilities, bytes };
}
