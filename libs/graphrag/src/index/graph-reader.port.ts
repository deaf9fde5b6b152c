import type { SnapshotChunk, SnapshotNode } from '../model.js';

/** A value at hand, or one that is still on its way. */
export type Awaitable<T> = T | Promise<T>;

/** Where a {@link GraphReader} takes the graph from. */
export type ReaderKind = 'memory' | 'sql';

/** A node with what retrieval weighs it by. */
export interface ReaderNode extends SnapshotNode {
  /** Passages that mention it. */
  readonly passages: number;
  /** Edges at it, in either direction. */
  readonly degree: number;
  /** True for a title of a document of which nothing else is stated. */
  readonly title: boolean;
}

/** An edge; its ends are the reader's numbers of nodes. */
export interface ReaderEdge {
  readonly source: number;
  readonly target: number;
  readonly type: string;
  /** Passages that state it. */
  readonly weight: number;
  readonly confidence: number;
}

/** A passage's statement of an edge. */
export interface ReaderFact {
  readonly edge: number;
  readonly chunk: number;
  readonly statement: string;
}

/** What a keyword search found: the reader's number of a passage, fact or node, and its BM25 score, above 0. */
export interface LexicalHit {
  readonly ref: number;
  readonly score: number;
}

/** The outcome of a keyword search. */
export interface LexicalMatches {
  /** Best first; equal scores in the order of ids. */
  readonly best: readonly LexicalHit[];
  /** The score of each number, 0 where no term occurs. */
  scores(refs: readonly number[]): Awaitable<ArrayLike<number>>;
}

/** Of a list of terms, in how many passages each occurs. */
export interface PassageCounts {
  readonly passages: number;
  readonly having: readonly number[];
}

/** Rows of the random walk: those of a vertex stand from `start` up to `end`, with probabilities that add up to 1. */
export interface WalkRows {
  readonly columns: Int32Array;
  readonly probabilities: Float32Array;
  start(vertex: number): number;
  end(vertex: number): number;
  /** Neighbours of a vertex, known before its row is. */
  size(vertex: number): number;
}

/**
 * One tenant's published graph at one version, as retrieval reads it. There is one in memory and one over SQL;
 * both give the same answers in the same order, which makes every sum of floating-point numbers come out alike.
 *
 * Nodes, edges, passages and facts have numbers of this reader's own; what their order is means nothing, so ties
 * are broken by ids. Each `load` makes what the accessors beside it answer from; those throw for what was not
 * loaded. Loading again costs nothing. Over SQL a call is a fixed number of statements, whatever it is given: ask
 * for everything of a step at once. In memory no call waits.
 */
export interface GraphReader {
  readonly kind: ReaderKind;
  /** The corpus version it shows. */
  readonly version: number;

  /** BM25 over title, headings and text of the passages. */
  searchPassages(terms: readonly string[], limit: number): Awaitable<LexicalMatches>;
  /** How many passages there are, and in how many of them each term occurs, in the order of the terms. */
  countPassages(terms: readonly string[]): Awaitable<PassageCounts>;
  /** BM25 over each fact: its edge's ends and type, and the statement. Found facts are loaded. */
  searchFacts(terms: readonly string[], limit: number): Awaitable<LexicalMatches>;
  /** BM25 over names and aliases of nodes, for each of several queries. */
  searchNames(queries: readonly (readonly string[])[], limit: number): Awaitable<readonly LexicalHit[][]>;

  /** The nodes with a name or alias of that normal form, in the order of ids; keys without any are missing. */
  nodesNamed(keys: readonly string[]): Awaitable<ReadonlyMap<string, readonly number[]>>;
  /** The nodes with these ids, in the same order; `undefined` for those that are not there. */
  nodesOf(ids: readonly string[]): Awaitable<readonly (number | undefined)[]>;
  /** The passages with these ids, in the same order; `undefined` for those that are not there. */
  chunksOf(ids: readonly string[]): Awaitable<readonly (number | undefined)[]>;
  nodeId(node: number): string;
  chunkId(chunk: number): string;
  edgeId(edge: number): string;

  loadNodes(nodes: Iterable<number>): Awaitable<void>;
  node(node: number): ReaderNode;
  /** {@link ReaderNode.degree} alone, or `undefined` when the node was not loaded. */
  degree(node: number): number | undefined;

  loadChunks(chunks: Iterable<number>): Awaitable<void>;
  chunk(chunk: number): SnapshotChunk;

  /** Loads all edges at these nodes. */
  loadEdges(nodes: Iterable<number>): Awaitable<void>;
  /** Edges at a node in the order of ids, or `undefined` when they were not loaded. */
  edgesAt(node: number): ArrayLike<number> | undefined;
  /** Of each node its edges to others of these nodes, and to itself, in the order of ids; they are loaded. */
  edgesAmong(nodes: ReadonlySet<number>): Awaitable<(node: number) => ArrayLike<number>>;
  edge(edge: number): ReaderEdge;

  /** Loads what states these edges. */
  loadFacts(edges: Iterable<number>): Awaitable<void>;
  /** Facts of an edge, in the order of their passages' ids. */
  factsOf(edge: number): ArrayLike<number>;
  fact(fact: number): ReaderFact;

  /** The random walk runs over vertices, which are nodes and passages. */
  nodeVertex(node: number): number;
  chunkVertex(chunk: number): number;
  /** The node or the passage that a vertex is; `undefined` when it is of the other kind. */
  vertexNode(vertex: number): number | undefined;
  vertexChunk(vertex: number): number | undefined;
  /** Every vertex that was mentioned so far is below. */
  readonly vertexBound: number;
  /** Loads the sizes of these vertices' rows; `undefined` when they are at hand, so that a round need not wait. */
  loadWalkSizes(vertices: readonly number[]): Promise<void> | undefined;
  /** Loads the rows of these vertices; likewise. */
  loadWalk(vertices: readonly number[]): Promise<void> | undefined;
  /** The walk's rows; to be asked for anew after each load. */
  readonly walk: WalkRows;
}
