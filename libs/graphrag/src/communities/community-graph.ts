import { inSlices } from './slices.js';

/** Rows of a tenant's published graph that communities are made of. */
export interface CommunityRows {
  readonly nodes: readonly { readonly id: string; readonly name: string }[];
  readonly chunks: readonly { readonly id: string; readonly documentId: string }[];
  readonly mentions: readonly { readonly nodeId: string; readonly chunkId: string; readonly count: number }[];
  readonly edges: readonly {
    readonly id: string;
    readonly sourceId: string;
    readonly targetId: string;
    /** Passages that state it × how sure the surest is. */
    readonly weight: number;
  }[];
}

/** An undirected graph in numbers; `source[i] – target[i]` weighs `weight[i]`. */
export interface WeightedGraph {
  readonly vertexCount: number;
  readonly source: Int32Array;
  readonly target: Int32Array;
  readonly weight: Float64Array;
}

/** The graph whose vertices are a tenant's nodes, then its passages. */
export interface CommunityGraph extends WeightedGraph {
  readonly rows: CommunityRows;
  readonly nodeCount: number;
  /** The id of each vertex's node or passage. */
  readonly ids: readonly string[];
  /** How rare a node is among passages, in `(0, 1]`; 1 for a passage. */
  readonly rarity: Float64Array;
}

/**
 * Passages are vertices as well as nodes: so each belongs to one community, the one of what it is about, and a
 * summary of all communities leaves nothing out. A mention weighs `1 + ln(count)`, an edge what its evidence
 * weighs; both are damped by how common their nodes are, `ln(1 + N/df) / ln(1 + N)`, for what everything mentions
 * holds nothing together. The same rows in the same order give the same graph.
 */
export async function buildCommunityGraph(rows: CommunityRows): Promise<CommunityGraph> {
  const { nodes, chunks } = rows;
  const numbers = new Map<string, number>();
  await inSlices(nodes, ({ id }) => numbers.set(id, numbers.size));
  await inSlices(chunks, ({ id }) => numbers.set(id, numbers.size));
  const passages = new Int32Array(nodes.length);
  await inSlices(rows.mentions, ({ nodeId }) => {
    const node = numbers.get(nodeId);
    if (node !== undefined && node < nodes.length) passages[node]! += 1;
  });
  const all = Math.max(1, chunks.length);
  const rarity = new Float64Array(numbers.size).fill(1);
  for (let node = 0; node < nodes.length; node += 1)
    rarity[node] = Math.log1p(all / Math.max(1, passages[node]!)) / Math.log1p(all);
  const source: number[] = [];
  const target: number[] = [];
  const weight: number[] = [];
  const connect = (from: string, to: string, strength: number) => {
    const left = numbers.get(from);
    const right = numbers.get(to);
    if (left === undefined || right === undefined || left === right || !(strength > 0)) return;
    source.push(left);
    target.push(right);
    weight.push(strength * rarity[left]! * rarity[right]!);
  };
  await inSlices(rows.mentions, ({ nodeId, chunkId, count }) =>
    connect(nodeId, chunkId, 1 + Math.log(Math.max(1, count))),
  );
  await inSlices(rows.edges, (edge) => connect(edge.sourceId, edge.targetId, edge.weight));
  return {
    rows,
    nodeCount: nodes.length,
    vertexCount: numbers.size,
    ids: [...numbers.keys()],
    source: Int32Array.from(source),
    target: Int32Array.from(target),
    weight: Float64Array.from(weight),
    rarity,
  };
}
