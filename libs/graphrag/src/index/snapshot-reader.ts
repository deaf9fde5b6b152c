import type { EntityType, SnapshotChunk } from '../model.js';
import type { Csr } from './csr.js';
import type {
  GraphReader,
  LexicalHit,
  LexicalMatches,
  PassageCounts,
  ReaderEdge,
  ReaderFact,
  ReaderNode,
  WalkRows,
} from './graph-reader.port.js';
import type { GraphSnapshot } from './graph-snapshot.js';
import type { LexicalIndex } from './lexical-index.js';

/** Reads a graph held in memory. Everything is at hand: no call waits, loading does nothing. */
export class SnapshotReader implements GraphReader {
  readonly kind = 'memory';
  readonly vertexBound: number;
  readonly walk: WalkRows;

  constructor(
    private readonly snapshot: GraphSnapshot,
    readonly version: number,
  ) {
    const { walk } = snapshot.columns;
    this.vertexBound = walk.vertexCount;
    this.walk = {
      columns: walk.columns,
      probabilities: walk.probabilities,
      start: (vertex) => walk.offsets[vertex]!,
      end: (vertex) => walk.offsets[vertex + 1]!,
      size: (vertex) => walk.offsets[vertex + 1]! - walk.offsets[vertex]!,
    };
  }

  searchPassages(terms: readonly string[], limit: number): LexicalMatches {
    return search(this.snapshot.columns.passages, terms, limit);
  }

  countPassages(terms: readonly string[]): PassageCounts {
    const { passages } = this.snapshot.columns;
    return { passages: passages.statistics.texts, having: terms.map((term) => passages.frequency(term)) };
  }

  searchFacts(terms: readonly string[], limit: number): LexicalMatches {
    return search(this.snapshot.columns.facts, terms, limit);
  }

  searchNames(queries: readonly (readonly string[])[], limit: number): LexicalHit[][] {
    return queries.map((terms) => this.snapshot.columns.nodeNames.score(terms).best(limit));
  }

  nodesNamed(keys: readonly string[]): ReadonlyMap<string, readonly number[]> {
    const found = new Map<string, readonly number[]>();
    for (const key of keys) {
      const nodes = this.snapshot.columns.names.get(key);
      if (nodes.length > 0) found.set(key, nodes);
    }
    return found;
  }

  nodesOf(ids: readonly string[]): (number | undefined)[] {
    return ids.map((id) => this.snapshot.columns.node.ids.find(id));
  }

  chunksOf(ids: readonly string[]): (number | undefined)[] {
    return ids.map((id) => this.snapshot.columns.chunk.ids.find(id));
  }

  nodeId(node: number): string {
    return this.snapshot.columns.node.ids.get(node);
  }

  chunkId(chunk: number): string {
    return this.snapshot.columns.chunk.ids.get(chunk);
  }

  edgeId(edge: number): string {
    return this.snapshot.columns.edges.ids.get(edge);
  }

  loadNodes(): void {}

  node(node: number): ReaderNode {
    return new NodeView(this.snapshot, node);
  }

  degree(node: number): number {
    return rowLength(this.snapshot.columns.nodeEdges, node);
  }

  loadChunks(): void {}

  chunk(chunk: number): SnapshotChunk {
    return this.snapshot.chunkAt(chunk);
  }

  loadEdges(): void {}

  edgesAt(node: number): ArrayLike<number> {
    const { offsets, columns } = this.snapshot.columns.nodeEdges;
    return columns.subarray(offsets[node]!, offsets[node + 1]!);
  }

  edgesAmong(nodes: ReadonlySet<number>): (node: number) => ArrayLike<number> {
    const { source, target } = this.snapshot.columns.edges;
    const { offsets, columns } = this.snapshot.columns.nodeEdges;
    const edgesOf = new Map<number, ArrayLike<number>>();
    return (node) => {
      const known = edgesOf.get(node);
      if (known) return known;
      const kept = columns
        .subarray(offsets[node]!, offsets[node + 1]!)
        .filter((edge) => nodes.has(source[edge] === node ? target[edge]! : source[edge]!));
      edgesOf.set(node, kept);
      return kept;
    };
  }

  edge(edge: number): ReaderEdge {
    const { source, target, type, typeNames, weight, confidence } = this.snapshot.columns.edges;
    return {
      source: source[edge]!,
      target: target[edge]!,
      type: typeNames[type[edge]!]!,
      weight: weight[edge]!,
      confidence: confidence[edge]!,
    };
  }

  loadFacts(): void {}

  factsOf(edge: number): ArrayLike<number> {
    const { offsets } = this.snapshot.columns.evidence;
    const start = offsets[edge]!;
    return Array.from({ length: offsets[edge + 1]! - start }, (_, at) => start + at);
  }

  fact(fact: number): ReaderFact {
    const { edge, chunk, statements } = this.snapshot.columns.evidence;
    return { edge: edge[fact]!, chunk: chunk[fact]!, statement: statements.get(fact) };
  }

  nodeVertex(node: number): number {
    return node;
  }

  chunkVertex(chunk: number): number {
    return this.snapshot.nodeCount + chunk;
  }

  vertexNode(vertex: number): number | undefined {
    return vertex < this.snapshot.nodeCount ? vertex : undefined;
  }

  vertexChunk(vertex: number): number | undefined {
    const { nodeCount } = this.snapshot;
    return vertex < nodeCount ? undefined : vertex - nodeCount;
  }

  loadWalkSizes(): undefined {
    return undefined;
  }

  loadWalk(): undefined {
    return undefined;
  }
}

function search(index: LexicalIndex, terms: readonly string[], limit: number): LexicalMatches {
  const scores = index.score(terms);
  return { best: scores.best(limit), scores: (refs) => refs.map((ref) => scores.of(ref)) };
}

/** A node whose strings are unpacked when they are asked for. */
class NodeView implements ReaderNode {
  constructor(
    private readonly snapshot: GraphSnapshot,
    private readonly number: number,
  ) {}

  get id(): string {
    return this.snapshot.columns.node.ids.get(this.number);
  }

  get key(): string {
    return this.snapshot.columns.node.keys.get(this.number);
  }

  get name(): string {
    return this.snapshot.columns.node.names.get(this.number);
  }

  get type(): EntityType {
    const { types, type } = this.snapshot.columns.node;
    return types[type[this.number]!]!;
  }

  get aliases(): readonly string[] {
    return this.snapshot.nodeAt(this.number).aliases;
  }

  get aliasKeys(): readonly string[] {
    return this.snapshot.nodeAt(this.number).aliasKeys;
  }

  get passages(): number {
    return rowLength(this.snapshot.columns.nodeChunks, this.number);
  }

  get degree(): number {
    return rowLength(this.snapshot.columns.nodeEdges, this.number);
  }

  get title(): boolean {
    return this.snapshot.columns.titleNodes.has(this.number);
  }
}

function rowLength({ offsets }: Csr, row: number): number {
  return offsets[row + 1]! - offsets[row]!;
}
