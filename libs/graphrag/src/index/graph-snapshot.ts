import { normaliseEntityName } from '../extract/entity-name.js';
import type {
  EntityType,
  SnapshotChunk,
  SnapshotEdge,
  SnapshotEvidence,
  SnapshotMention,
  SnapshotNode,
  SnapshotRows,
} from '../model.js';
import { analyse } from './analyse.js';
import { buildCsr, type Csr } from './csr.js';
import { type LexicalIndex, LexicalIndexBuilder } from './lexical-index.js';
import {
  GrowingUint32,
  type KeyIndex,
  KeyIndexBuilder,
  type PackedStrings,
  PackedStringsBuilder,
  type SortedIds,
  SortedIdsBuilder,
} from './packed-strings.js';
import { factTerms, nameTerms, passageText, UNSTATED_RELATION } from './passage-terms.js';
import { finished, type Steps } from './steps.js';
import { buildWalk, type Walk } from './walk.js';

const MOST_COUNTED = 0xffff;
const BYTES_PER_TERM = 80;

/** Edges as columns; an edge's number is its place. */
interface EdgeColumns {
  readonly ids: SortedIds;
  readonly source: Int32Array;
  readonly target: Int32Array;
  /** Index into {@link typeNames}. */
  readonly type: Uint32Array;
  readonly typeNames: readonly string[];
  readonly weight: Float32Array;
  readonly confidence: Float32Array;
}

interface NodeColumns {
  readonly ids: SortedIds;
  readonly keys: PackedStrings;
  readonly names: PackedStrings;
  readonly types: readonly EntityType[];
  readonly type: Uint8Array;
  /** Aliases of node `n` stand from `aliasEnds[n − 1]` up to `aliasEnds[n]`. */
  readonly aliasEnds: Uint32Array;
  readonly aliases: PackedStrings;
  readonly aliasKeys: PackedStrings;
}

interface ChunkColumns {
  readonly ids: SortedIds;
  readonly documentIds: readonly string[];
  readonly documentTitles: readonly string[];
  /** Index into the two above. */
  readonly document: Uint32Array;
  readonly ordinal: Uint32Array;
  readonly tokens: Uint32Array;
  /** As JSON. */
  readonly headings: PackedStrings;
  readonly texts: PackedStrings;
}

interface Columns {
  readonly node: NodeColumns;
  readonly chunk: ChunkColumns;
  readonly edges: EdgeColumns;
  /** Edges at each node, in either direction. */
  readonly nodeEdges: Csr;
  readonly nodeChunks: Csr & { readonly counts: Uint16Array };
  readonly chunkNodes: Csr & { readonly counts: Uint16Array };
  readonly evidence: {
    readonly edge: Int32Array;
    readonly chunk: Int32Array;
    readonly statements: PackedStrings;
    /** Evidence rows of edge `e` stand from `offsets[e]` up to `offsets[e + 1]`. */
    readonly offsets: Int32Array;
  };
  /** BM25 over title, headings and text of each chunk. */
  readonly passages: LexicalIndex;
  /** BM25 over each evidence row: its edge's ends, type and statement. */
  readonly facts: LexicalIndex;
  /** BM25 over the names and aliases of each node, for names that are not written in full. */
  readonly nodeNames: LexicalIndex;
  /** Nodes by normal forms of their names and aliases. */
  readonly names: KeyIndex;
  /** Nodes that are titles of documents and of which nothing else is stated. */
  readonly titleNodes: ReadonlySet<number>;
  readonly walk: Walk;
  readonly vocabularySize: number;
}

/**
 * One tenant's graph at one version, immutable. Nodes, edges and chunks are numbered from zero in the order of
 * their ids; relations between them are typed arrays over those numbers, strings are packed outside of the heap.
 */
export class GraphSnapshot {
  /** Approximate size in memory. */
  readonly bytes: number;

  /** @internal Made by {@link SnapshotBuilder}. */
  constructor(readonly columns: Columns) {
    this.bytes = bytesOf(columns);
  }

  get nodeCount(): number {
    return this.columns.node.ids.size;
  }

  get chunkCount(): number {
    return this.columns.chunk.ids.size;
  }

  get edgeCount(): number {
    return this.columns.edges.ids.size;
  }

  nodeAt(node: number): SnapshotNode {
    const { ids, keys, names, types, type, aliasEnds, aliases, aliasKeys } = this.columns.node;
    const own: { aliases: string[]; aliasKeys: string[] } = { aliases: [], aliasKeys: [] };
    for (let at = node === 0 ? 0 : aliasEnds[node - 1]!; at < aliasEnds[node]!; at += 1) {
      own.aliases.push(aliases.get(at));
      own.aliasKeys.push(aliasKeys.get(at));
    }
    return {
      id: ids.get(node),
      key: keys.get(node),
      name: names.get(node),
      type: types[type[node]!]!,
      ...own,
    };
  }

  chunkAt(chunk: number): SnapshotChunk {
    const { ids, documentIds, documentTitles, document, ordinal, tokens, headings, texts } =
      this.columns.chunk;
    return {
      id: ids.get(chunk),
      documentId: documentIds[document[chunk]!]!,
      documentTitle: documentTitles[document[chunk]!]!,
      ordinal: ordinal[chunk]!,
      headings: JSON.parse(headings.get(chunk)) as string[],
      text: texts.get(chunk),
      tokens: tokens[chunk]!,
    };
  }

  edgeAt(edge: number): SnapshotEdge {
    const { ids, source, target, type, typeNames, weight, confidence } = this.columns.edges;
    return {
      id: ids.get(edge),
      sourceId: this.columns.node.ids.get(source[edge]!),
      targetId: this.columns.node.ids.get(target[edge]!),
      type: typeNames[type[edge]!]!,
      weight: weight[edge]!,
      confidence: confidence[edge]!,
    };
  }

  /** All nodes; made anew by each call. */
  get nodes(): SnapshotNode[] {
    return Array.from({ length: this.nodeCount }, (_, node) => this.nodeAt(node));
  }

  /** All chunks; made anew by each call. */
  get chunks(): SnapshotChunk[] {
    return Array.from({ length: this.chunkCount }, (_, chunk) => this.chunkAt(chunk));
  }
}

/** A passage; its search terms are analysed from its text when they are not at hand. */
export type ChunkInput = SnapshotChunk & { readonly terms?: string | null };
/** A statement; its search terms are analysed when they are not at hand. */
export type EvidenceInput = SnapshotEvidence & { readonly terms?: string | null };

/**
 * Builds a snapshot from rows that come page by page: nodes, then chunks, edges, mentions and evidence, each kind
 * in the order of ids (mentions by node and chunk, evidence by edge and chunk) and without repetitions. Rows that
 * refer to something absent are left out. Ids become numbers at once, so what is held besides the result are
 * their indexes.
 */
export class SnapshotBuilder {
  private readonly vocabulary = new Map<string, number>();
  private readonly nodeIds = new SortedIdsBuilder();
  private readonly nodeIndex = new Map<string, number>();
  private readonly keys = new PackedStringsBuilder();
  private readonly names = new PackedStringsBuilder();
  private readonly nodeNames: string[] = [];
  private readonly types = new Numbering<EntityType>();
  private readonly nodeType = new GrowingUint32();
  private readonly aliasEnds = new GrowingUint32();
  private readonly aliases = new PackedStringsBuilder();
  private readonly aliasKeys = new PackedStringsBuilder();
  private aliasCount = 0;
  private readonly nameIndex = new KeyIndexBuilder();
  private readonly nameTerms = new LexicalIndexBuilder(this.vocabulary);

  private readonly chunkIds = new SortedIdsBuilder();
  private readonly chunkIndex = new Map<string, number>();
  private readonly documents = new Numbering<string>();
  private readonly documentTitles: string[] = [];
  private readonly chunkDocument = new GrowingUint32();
  private readonly ordinals = new GrowingUint32();
  private readonly chunkTokens = new GrowingUint32();
  private readonly headings = new PackedStringsBuilder();
  private readonly texts = new PackedStringsBuilder();
  private readonly passageTerms = new LexicalIndexBuilder(this.vocabulary);

  private readonly edgeIds = new SortedIdsBuilder();
  private readonly edgeTypes = new Numbering<string>();
  private readonly edgeType = new GrowingUint32();
  private readonly source = new GrowingUint32();
  private readonly target = new GrowingUint32();
  private readonly weight: number[] = [];
  private readonly confidence: number[] = [];

  private readonly mentionNode = new GrowingUint32();
  private readonly mentionChunk = new GrowingUint32();
  private readonly mentionCount = new GrowingUint32();

  /** The edge whose evidence came last. */
  private edgeCursor = 0;
  private readonly factEdge = new GrowingUint32();
  private readonly factChunk = new GrowingUint32();
  private readonly statements = new PackedStringsBuilder();
  private readonly factTerms = new LexicalIndexBuilder(this.vocabulary);

  *addNodes(rows: readonly SnapshotNode[]): Steps<void> {
    for (const [at, row] of rows.entries()) {
      const node = this.nodeIds.add(row.id);
      this.nodeIndex.set(row.id, node);
      this.keys.add(row.key);
      this.names.add(row.name);
      this.nodeNames.push(row.name);
      this.nodeType.push(this.types.of(row.type));
      this.nameIndex.add(row.key, node);
      row.aliases.forEach((alias, index) => {
        this.aliases.add(alias);
        this.aliasKeys.add(row.aliasKeys[index]!);
        this.nameIndex.add(row.aliasKeys[index]!, node);
      });
      this.aliasCount += row.aliases.length;
      this.aliasEnds.push(this.aliasCount);
      this.nameTerms.add(nameTerms(row));
      if (at % 64 === 0) yield;
    }
  }

  *addChunks(rows: readonly ChunkInput[]): Steps<void> {
    for (const [at, row] of rows.entries()) {
      this.chunkIndex.set(row.id, this.chunkIds.add(row.id));
      const document = this.documents.of(row.documentId);
      this.documentTitles[document] = row.documentTitle;
      this.chunkDocument.push(document);
      this.ordinals.push(row.ordinal);
      this.chunkTokens.push(row.tokens);
      this.headings.add(JSON.stringify(row.headings));
      this.texts.add(row.text);
      this.passageTerms.add(termsOf(row.terms) ?? analyse(passageText(row)));
      if (at % 16 === 0) yield;
    }
  }

  *addEdges(rows: readonly SnapshotEdge[]): Steps<void> {
    for (const [at, row] of rows.entries()) {
      const source = this.nodeIndex.get(row.sourceId);
      const target = this.nodeIndex.get(row.targetId);
      if (source === undefined || target === undefined) continue;
      this.edgeIds.add(row.id);
      this.source.push(source);
      this.target.push(target);
      this.edgeType.push(this.edgeTypes.of(row.type));
      this.weight.push(row.weight);
      this.confidence.push(row.confidence);
      if (at % 512 === 0) yield;
    }
  }

  *addMentions(rows: readonly SnapshotMention[]): Steps<void> {
    for (const [at, row] of rows.entries()) {
      const node = this.nodeIndex.get(row.nodeId);
      const chunk = this.chunkIndex.get(row.chunkId);
      if (node === undefined || chunk === undefined) continue;
      this.mentionNode.push(node);
      this.mentionChunk.push(chunk);
      this.mentionCount.push(Math.min(MOST_COUNTED, row.count));
      if (at % 512 === 0) yield;
    }
  }

  *addEvidence(rows: readonly EvidenceInput[]): Steps<void> {
    for (const [at, row] of rows.entries()) {
      const edge = this.edgeOf(row.edgeId);
      const chunk = this.chunkIndex.get(row.chunkId);
      if (edge === undefined || chunk === undefined) continue;
      this.factEdge.push(edge);
      this.factChunk.push(chunk);
      this.statements.add(row.statement);
      this.factTerms.add(termsOf(row.terms) ?? this.termsOfFact(edge, row.statement));
      if (at % 64 === 0) yield;
    }
  }

  *build(): Steps<GraphSnapshot> {
    const nodeCount = this.nodeIds.length;
    const edges: EdgeColumns = {
      ids: this.edgeIds.build(),
      source: new Int32Array(this.source.build().buffer),
      target: new Int32Array(this.target.build().buffer),
      type: this.edgeType.build(),
      typeNames: this.edgeTypes.values,
      weight: new Float32Array(this.weight),
      confidence: new Float32Array(this.confidence),
    };
    yield;
    const nodeEdges = edgesAtNodes(nodeCount, edges);
    yield;
    const mentions = {
      node: this.mentionNode.build(),
      chunk: this.mentionChunk.build(),
      count: this.mentionCount.build(),
    };
    const byNode = buildCsr(nodeCount, mentions.node, mentions.chunk);
    yield;
    const byChunk = buildCsr(this.chunkIds.length, mentions.chunk, mentions.node);
    yield;
    const countsOf = (order: Int32Array) => {
      const counts = new Uint16Array(order.length);
      for (let at = 0; at < order.length; at += 1) counts[at] = mentions.count[order[at]!]!;
      return counts;
    };
    const nodeChunks = { ...columnsOf(byNode), counts: countsOf(byNode.order) };
    yield;
    const chunkNodes = { ...columnsOf(byChunk), counts: countsOf(byChunk.order) };
    yield;
    const factEdges = this.factEdge.build();
    const evidence = {
      edge: new Int32Array(factEdges.buffer),
      chunk: new Int32Array(this.factChunk.build().buffer),
      statements: this.statements.build(),
      offsets: rowOffsets(edges.ids.size, factEdges),
    };
    yield;
    const names = this.nameIndex.build();
    yield;
    const node: NodeColumns = {
      ids: this.nodeIds.build(),
      keys: this.keys.build(),
      names: this.names.build(),
      types: this.types.values,
      type: new Uint8Array(this.nodeType.build()),
      aliasEnds: this.aliasEnds.build(),
      aliases: this.aliases.build(),
      aliasKeys: this.aliasKeys.build(),
    };
    yield;
    const chunk: ChunkColumns = {
      ids: this.chunkIds.build(),
      documentIds: this.documents.values,
      documentTitles: this.documentTitles,
      document: this.chunkDocument.build(),
      ordinal: this.ordinals.build(),
      tokens: this.chunkTokens.build(),
      headings: this.headings.build(),
      texts: this.texts.build(),
    };
    yield;
    const titleNodes = yield* findTitleNodes(this.documentTitles, names, edges);
    return new GraphSnapshot({
      node,
      chunk,
      edges,
      nodeEdges,
      nodeChunks,
      chunkNodes,
      evidence,
      passages: yield* this.passageTerms.build(),
      facts: yield* this.factTerms.build(),
      nodeNames: yield* this.nameTerms.build(),
      names,
      titleNodes,
      walk: yield* buildWalk({ nodeCount, edges, nodeEdges, nodeChunks, chunkNodes }),
      vocabularySize: this.vocabulary.size,
    });
  }

  /** Evidence comes in the order of edges, so the search for the next one's edge only goes forward. */
  private edgeOf(id: string): number | undefined {
    for (; this.edgeCursor < this.edgeIds.length; this.edgeCursor += 1) {
      const found = this.edgeIds.get(this.edgeCursor);
      if (found === id) return this.edgeCursor;
      if (found > id) return undefined;
    }
    return undefined;
  }

  private termsOfFact(edge: number, statement: string): string[] {
    return factTerms({
      source: this.nodeNames[this.source.at(edge)]!,
      type: this.edgeTypes.values[this.edgeType.at(edge)]!,
      target: this.nodeNames[this.target.at(edge)]!,
      statement,
    });
  }
}

/** Builds a snapshot of rows in any order; of rows with equal ids the last one counts. */
export function buildSnapshot(rows: SnapshotRows): GraphSnapshot {
  return finished(buildSteps(rows));
}

function* buildSteps(rows: SnapshotRows): Steps<GraphSnapshot> {
  const builder = new SnapshotBuilder();
  const id = (row: { readonly id: string }) => row.id;
  yield* builder.addNodes(sortedUnique(rows.nodes, id));
  yield* builder.addChunks(sortedUnique(rows.chunks, id));
  yield* builder.addEdges(sortedUnique(rows.edges, id));
  yield* builder.addMentions(sortedUnique(rows.mentions, (row) => `${row.nodeId}\u0000${row.chunkId}`));
  yield* builder.addEvidence(sortedUnique(rows.evidence, (row) => `${row.edgeId}\u0000${row.chunkId}`));
  return yield* builder.build();
}

/** The rows a snapshot was built from. */
export function snapshotRows(snapshot: GraphSnapshot): SnapshotRows {
  const { nodeChunks, evidence, edges } = snapshot.columns;
  const nodes = snapshot.nodes;
  const chunks = snapshot.chunks;
  return {
    nodes,
    chunks,
    edges: Array.from({ length: edges.ids.size }, (_, edge) => snapshot.edgeAt(edge)),
    mentions: nodes.flatMap(({ id: nodeId }, node) =>
      Array.from(
        nodeChunks.columns.subarray(nodeChunks.offsets[node]!, nodeChunks.offsets[node + 1]!),
        (chunk, at) => ({
          nodeId,
          chunkId: chunks[chunk]!.id,
          count: nodeChunks.counts[nodeChunks.offsets[node]! + at]!,
        }),
      ),
    ),
    evidence: Array.from(evidence.edge, (edge, row) => ({
      edgeId: edges.ids.get(edge),
      chunkId: chunks[evidence.chunk[row]!]!.id,
      statement: evidence.statements.get(row),
    })),
  };
}

function termsOf(terms: string | null | undefined): string[] | undefined {
  if (terms === null || terms === undefined) return undefined;
  return terms === '' ? [] : terms.split(' ');
}

function edgesAtNodes(nodeCount: number, { source, target }: EdgeColumns): Csr {
  const ends = new GrowingUint32();
  const edges = new GrowingUint32();
  for (let edge = 0; edge < source.length; edge += 1) {
    ends.push(source[edge]!);
    edges.push(edge);
    if (source[edge] === target[edge]) continue;
    ends.push(target[edge]!);
    edges.push(edge);
  }
  return columnsOf(buildCsr(nodeCount, ends.build(), edges.build()));
}

function columnsOf({ offsets, columns }: Csr): Csr {
  return { offsets, columns };
}

/** Offsets of rows that are in the order of their owners already. */
function rowOffsets(ownerCount: number, owners: Uint32Array): Int32Array {
  const offsets = new Int32Array(ownerCount + 1);
  for (const owner of owners) offsets[owner + 1]! += 1;
  for (let owner = 0; owner < ownerCount; owner += 1) offsets[owner + 1]! += offsets[owner]!;
  return offsets;
}

function* findTitleNodes(titles: readonly string[], names: KeyIndex, edges: EdgeColumns): Steps<Set<number>> {
  const titled = new Set<number>();
  let done = 0;
  for (const title of new Set(titles)) {
    for (const node of names.get(normaliseEntityName(title))) titled.add(node);
    done += 1;
    if (done % 64 === 0) yield;
  }
  const unstated = edges.typeNames.indexOf(UNSTATED_RELATION);
  for (let edge = 0; edge < edges.type.length; edge += 1) {
    if (edge % 8192 === 0) yield;
    if (edges.type[edge] === unstated) continue;
    titled.delete(edges.source[edge]!);
    titled.delete(edges.target[edge]!);
  }
  return titled;
}

function sortedUnique<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  return [...byKey].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, row]) => row);
}

/** Values numbered in the order in which they are first seen. */
class Numbering<Value> {
  readonly values: Value[] = [];
  private readonly numbers = new Map<Value, number>();

  of(value: Value): number {
    let number = this.numbers.get(value);
    if (number === undefined) {
      number = this.values.push(value) - 1;
      this.numbers.set(value, number);
    }
    return number;
  }
}

function bytesOf(columns: Columns): number {
  const { node, chunk, edges, evidence } = columns;
  const csr = ({ offsets, columns: entries }: Csr) => offsets.byteLength + entries.byteLength;
  const documents = chunk.documentTitles.reduce((sum, title) => sum + 2 * title.length + 120, 0);
  const strings = [node.ids, node.keys, node.names, node.aliases, node.aliasKeys, chunk.ids, chunk.headings];
  const numbers: ArrayBufferView[] = [node.type, node.aliasEnds, chunk.document, chunk.ordinal, chunk.tokens];
  numbers.push(edges.source, edges.target, edges.type, edges.weight, edges.confidence);
  numbers.push(evidence.edge, evidence.chunk, evidence.offsets);
  return (
    [...strings, chunk.texts, edges.ids, evidence.statements, ...numbers].reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    ) +
    csr(columns.nodeEdges) +
    csr(columns.nodeChunks) +
    columns.nodeChunks.counts.byteLength +
    csr(columns.chunkNodes) +
    columns.chunkNodes.counts.byteLength +
    documents +
    columns.passages.bytes +
    columns.facts.bytes +
    columns.nodeNames.bytes +
    BYTES_PER_TERM * columns.vocabularySize +
    columns.names.byteLength +
    32 * columns.titleNodes.size +
    columns.walk.bytes
  );
}
