import { normaliseEntityName } from '../extract/entity-name.js';
import { NameDictionary } from '../extract/name-dictionary.js';
import type {
  SnapshotChunk,
  SnapshotEdge,
  SnapshotEvidence,
  SnapshotMention,
  SnapshotNode,
  SnapshotRows,
} from '../model.js';
import { analyse } from './analyse.js';
import { buildCsr, type Csr } from './csr.js';
import { LexicalIndex } from './lexical-index.js';
import { buildWalk, type Walk } from './walk.js';

/** Type of an edge of which only is known that its ends occur together. */
export const UNSTATED_RELATION = 'related_to';

/**
 * One tenant's graph at one version, immutable. Nodes, edges and chunks are numbered from zero in the order of
 * their ids; every relation between them is a typed array over those numbers.
 */
export interface GraphSnapshot {
  readonly nodes: readonly SnapshotNode[];
  readonly chunks: readonly SnapshotChunk[];
  readonly edges: {
    readonly ids: readonly string[];
    readonly source: Int32Array;
    readonly target: Int32Array;
    /** Index into {@link typeNames}. */
    readonly type: Int32Array;
    readonly typeNames: readonly string[];
    readonly weight: Float32Array;
    readonly confidence: Float32Array;
  };
  /** Edges at each node, in either direction. */
  readonly nodeEdges: Csr;
  readonly nodeChunks: Csr & { readonly counts: Float32Array };
  readonly chunkNodes: Csr & { readonly counts: Float32Array };
  readonly evidence: {
    readonly edge: Int32Array;
    readonly chunk: Int32Array;
    readonly statements: readonly string[];
    /** Evidence rows of each edge. */
    readonly byEdge: Csr;
  };
  readonly nodeIndex: ReadonlyMap<string, number>;
  readonly chunkIndex: ReadonlyMap<string, number>;
  /** BM25 over title, headings and text of each chunk. */
  readonly passages: LexicalIndex;
  /** BM25 over each evidence row: its edge's ends, type and statement. */
  readonly facts: LexicalIndex;
  /** BM25 over the names and aliases of each node, for names that are not written in full. */
  readonly nodeNames: LexicalIndex;
  /** Names and aliases of nodes; owners are node numbers. */
  readonly names: NameDictionary;
  /** Nodes that are titles of documents and of which nothing else is stated. */
  readonly titleNodes: ReadonlySet<number>;
  readonly walk: Walk;
  /** Approximate size in memory. */
  readonly bytes: number;
}

/** What changed since a snapshot was made. */
export interface SnapshotChanges {
  /**
   * Rows of new documents. Nodes and edges that the snapshot has already are replaced by these; they may
   * refer to rows of the snapshot.
   */
  readonly addedDocuments: SnapshotRows;
  /** Their chunks go with mentions and evidence, then nodes and edges that nothing refers to any more. */
  readonly removedDocumentIds: readonly string[];
}

/**
 * Builds a snapshot. Rows that refer to something absent are left out, so a page read while a document was
 * being deleted does not break retrieval. The same rows in any order give the same snapshot.
 */
export function buildSnapshot(rows: SnapshotRows): GraphSnapshot {
  const nodes = sortedUnique(rows.nodes);
  const chunks = sortedUnique(rows.chunks);
  const nodeIndex = new Map(nodes.map((node, index) => [node.id, index]));
  const chunkIndex = new Map(chunks.map((chunk, index) => [chunk.id, index]));

  const edgeRows = sortedUnique(rows.edges).filter(
    (edge) => nodeIndex.has(edge.sourceId) && nodeIndex.has(edge.targetId),
  );
  const edges = numberEdges(edgeRows, nodeIndex);
  const ends: number[] = [];
  const endEdges: number[] = [];
  edgeRows.forEach((_, edge) => {
    ends.push(edges.source[edge]!);
    endEdges.push(edge);
    if (edges.source[edge] !== edges.target[edge]) {
      ends.push(edges.target[edge]!);
      endEdges.push(edge);
    }
  });
  const nodeEdges = buildCsr(nodes.length, ends, endEdges);

  const mentions = numberMentions(rows.mentions, nodeIndex, chunkIndex);
  const byNode = buildCsr(nodes.length, mentions.node, mentions.chunk);
  const byChunk = buildCsr(chunks.length, mentions.chunk, mentions.node);
  const nodeChunks = { ...byNode, counts: Float32Array.from(byNode.order, (at) => mentions.count[at]!) };
  const chunkNodes = { ...byChunk, counts: Float32Array.from(byChunk.order, (at) => mentions.count[at]!) };

  const evidence = numberEvidence(rows.evidence, edgeRows, chunkIndex);
  const passages = LexicalIndex.build(chunks.map((chunk) => analyse(passageText(chunk))));
  const facts = LexicalIndex.build(
    evidence.statements.map((statement, row) => {
      const edge = edgeRows[evidence.edge[row]!]!;
      const source = nodes[edges.source[evidence.edge[row]!]!]!;
      const target = nodes[edges.target[evidence.edge[row]!]!]!;
      return factTerms(source.name, edge.type, target.name, statement);
    }),
  );
  const nodeNames = LexicalIndex.build(
    nodes.map(({ name, aliases }) => analyse([name, ...aliases].join('\n'))),
  );
  const names = new NameDictionary();
  nodes.forEach((node, index) => {
    names.addKey(node.key, index);
    for (const alias of node.aliasKeys) names.addKey(alias, index);
  });
  const walk = buildWalk({ nodeCount: nodes.length, edges, nodeChunks, chunkNodes });
  const snapshot = {
    nodes,
    chunks,
    edges,
    nodeEdges,
    nodeChunks,
    chunkNodes,
    evidence,
    nodeIndex,
    chunkIndex,
    passages,
    facts,
    nodeNames,
    names,
    titleNodes: findTitleNodes(chunks, names, edges),
    walk,
  };
  return { ...snapshot, bytes: estimateBytes(snapshot) };
}

/** A snapshot with the changes applied; equals `buildSnapshot` of all rows that are left. */
export function applyChanges(snapshot: GraphSnapshot, changes: SnapshotChanges): GraphSnapshot {
  const removed = new Set(changes.removedDocumentIds);
  const added = changes.addedDocuments;
  const old = snapshotRows(snapshot);
  const chunks = [...old.chunks.filter((chunk) => !removed.has(chunk.documentId)), ...added.chunks];
  const chunkIds = new Set(chunks.map((chunk) => chunk.id));
  const mentions = [...old.mentions, ...added.mentions].filter((mention) => chunkIds.has(mention.chunkId));
  const evidence = [...old.evidence, ...added.evidence].filter((row) => chunkIds.has(row.chunkId));

  const hadEvidence = new Set(old.evidence.map((row) => row.edgeId));
  const hasEvidence = new Set(evidence.map((row) => row.edgeId));
  const edges = [...old.edges, ...added.edges].filter(
    (edge) => hasEvidence.has(edge.id) || !hadEvidence.has(edge.id),
  );
  const used = new Set(mentions.map((mention) => mention.nodeId));
  for (const edge of edges) used.add(edge.sourceId).add(edge.targetId);
  const wasMentioned = new Set(old.mentions.map((mention) => mention.nodeId));
  const nodes = [...old.nodes, ...added.nodes].filter(
    (node) => used.has(node.id) || !wasMentioned.has(node.id),
  );
  return buildSnapshot({ nodes, edges, chunks, mentions, evidence });
}

/** The rows a snapshot was built from. */
export function snapshotRows(snapshot: GraphSnapshot): SnapshotRows {
  const { edges, nodes, chunks, nodeChunks, evidence } = snapshot;
  const mentions: SnapshotMention[] = [];
  nodes.forEach((node, index) => {
    for (let at = nodeChunks.offsets[index]!; at < nodeChunks.offsets[index + 1]!; at += 1) {
      mentions.push({
        nodeId: node.id,
        chunkId: chunks[nodeChunks.columns[at]!]!.id,
        count: nodeChunks.counts[at]!,
      });
    }
  });
  return {
    nodes,
    chunks,
    mentions,
    edges: edges.ids.map((id, edge) => ({
      id,
      sourceId: nodes[edges.source[edge]!]!.id,
      targetId: nodes[edges.target[edge]!]!.id,
      type: edges.typeNames[edges.type[edge]!]!,
      weight: edges.weight[edge]!,
      confidence: edges.confidence[edge]!,
    })),
    evidence: evidence.statements.map((statement, row) => ({
      edgeId: edges.ids[evidence.edge[row]!]!,
      chunkId: chunks[evidence.chunk[row]!]!.id,
      statement,
    })),
  };
}

/** What the keyword search sees of a chunk; its terms fill `chunks.terms`. */
export function passageText(chunk: Pick<SnapshotChunk, 'documentTitle' | 'headings' | 'text'>): string {
  const headings = chunk.headings.filter((heading) => heading !== chunk.documentTitle);
  return [chunk.documentTitle, ...headings, chunk.text].join('\n');
}

/** The statement's terms, and of the triple those that the statement does not have. */
function factTerms(source: string, type: string, target: string, statement: string): string[] {
  const terms = analyse(statement);
  const seen = new Set(terms);
  const relation = type === UNSTATED_RELATION ? '' : type.replaceAll('_', ' ');
  for (const term of analyse(`${source} ${relation} ${target}`)) if (!seen.has(term)) terms.push(term);
  return terms;
}

function findTitleNodes(
  chunks: readonly SnapshotChunk[],
  names: NameDictionary,
  edges: GraphSnapshot['edges'],
): Set<number> {
  const titled = new Set<number>();
  for (const title of new Set(chunks.map((chunk) => chunk.documentTitle)))
    for (const node of names.get(normaliseEntityName(title))) titled.add(node);
  edges.type.forEach((type, edge) => {
    if (edges.typeNames[type] === UNSTATED_RELATION) return;
    titled.delete(edges.source[edge]!);
    titled.delete(edges.target[edge]!);
  });
  return titled;
}

/** By id, the last of equal ids winning. */
function sortedUnique<Row extends { readonly id: string }>(rows: readonly Row[]): Row[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return [...byId.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
}

function numberEdges(
  rows: readonly SnapshotEdge[],
  nodeIndex: ReadonlyMap<string, number>,
): GraphSnapshot['edges'] {
  const typeIndex = new Map<string, number>();
  const typeOf = (name: string) => {
    const known = typeIndex.get(name);
    if (known !== undefined) return known;
    typeIndex.set(name, typeIndex.size);
    return typeIndex.size - 1;
  };
  return {
    ids: rows.map((row) => row.id),
    source: Int32Array.from(rows, (row) => nodeIndex.get(row.sourceId)!),
    target: Int32Array.from(rows, (row) => nodeIndex.get(row.targetId)!),
    type: Int32Array.from(rows, (row) => typeOf(row.type)),
    typeNames: [...typeIndex.keys()],
    weight: Float32Array.from(rows, (row) => row.weight),
    confidence: Float32Array.from(rows, (row) => row.confidence),
  };
}

function numberMentions(
  rows: readonly SnapshotMention[],
  nodeIndex: ReadonlyMap<string, number>,
  chunkIndex: ReadonlyMap<string, number>,
): { node: number[]; chunk: number[]; count: number[] } {
  const numbered = rows
    .map((row) => ({ node: nodeIndex.get(row.nodeId), chunk: chunkIndex.get(row.chunkId), count: row.count }))
    .filter((row): row is { node: number; chunk: number; count: number } => {
      return row.node !== undefined && row.chunk !== undefined;
    })
    .sort((left, right) => left.node - right.node || left.chunk - right.chunk);
  const node: number[] = [];
  const chunk: number[] = [];
  const count: number[] = [];
  for (const row of numbered) {
    const last = node.length - 1;
    if (node[last] === row.node && chunk[last] === row.chunk) {
      count[last] = Math.max(count[last]!, row.count);
      continue;
    }
    node.push(row.node);
    chunk.push(row.chunk);
    count.push(row.count);
  }
  return { node, chunk, count };
}

function numberEvidence(
  rows: readonly SnapshotEvidence[],
  edgeRows: readonly SnapshotEdge[],
  chunkIndex: ReadonlyMap<string, number>,
): GraphSnapshot['evidence'] {
  const edgeIndex = new Map(edgeRows.map((edge, index) => [edge.id, index]));
  const byPair = new Map<number, { edge: number; chunk: number; statement: string }>();
  for (const row of rows) {
    const edge = edgeIndex.get(row.edgeId);
    const chunk = chunkIndex.get(row.chunkId);
    if (edge === undefined || chunk === undefined) continue;
    byPair.set(edge * chunkIndex.size + chunk, { edge, chunk, statement: row.statement });
  }
  const sorted = [...byPair.values()].sort(
    (left, right) => left.edge - right.edge || left.chunk - right.chunk,
  );
  const edge = Int32Array.from(sorted, (row) => row.edge);
  return {
    edge,
    chunk: Int32Array.from(sorted, (row) => row.chunk),
    statements: sorted.map((row) => row.statement),
    byEdge: buildCsr(
      edgeRows.length,
      edge,
      Int32Array.from(sorted, (_, row) => row),
    ),
  };
}

function estimateBytes(snapshot: Omit<GraphSnapshot, 'bytes'>): number {
  const { edges, nodes, chunks, evidence } = snapshot;
  const csrBytes = (csr: Csr) => csr.offsets.byteLength + 2 * csr.columns.byteLength;
  let text = 0;
  for (const chunk of chunks) {
    text += chunk.text.length + chunk.documentTitle.length + chunk.headings.join('').length;
  }
  for (const node of nodes) {
    text +=
      node.name.length + node.key.length + node.aliases.join('').length + node.aliasKeys.join('').length;
  }
  for (const statement of evidence.statements) text += statement.length;
  return (
    2 * text +
    160 * (nodes.length + chunks.length) +
    (100 + 5 * 4) * edges.ids.length +
    24 * evidence.statements.length +
    csrBytes(snapshot.nodeEdges) +
    2 * csrBytes(snapshot.nodeChunks) +
    2 * csrBytes(snapshot.chunkNodes) +
    csrBytes(evidence.byEdge) +
    snapshot.passages.bytes +
    snapshot.facts.bytes +
    snapshot.nodeNames.bytes +
    snapshot.names.bytes +
    32 * snapshot.titleNodes.size +
    snapshot.walk.bytes
  );
}
