import { verbOfRelation } from '../extract/relation-between.js';
import { analyse } from '../index/analyse.js';
import { type GraphSnapshot, UNSTATED_RELATION } from '../index/graph-snapshot.js';
import type { GraphPath } from '../model.js';
import { describePath, type FoundPath, shortestPaths } from './find-paths.js';
import { topIndexes } from './flat-scores.js';
import type { LinkedNode } from './link-entities.js';

/** Nodes of highest rank that paths may walk through. */
const SUBGRAPH_NODES = 400;
const MAX_ENDS = 4;
const PATHS_PER_PAIR = 2;
const MAX_PATHS = 6;
const MAX_RELATIONS = 3;
const STEM_LETTERS = 4;

export interface PathRequest {
  readonly question: string;
  /** Nodes that the question names: only they may stand at both ends of a path. */
  readonly linked: readonly LinkedNode[];
  /** Score of each evidence row for the question. */
  readonly factScores: Float32Array;
  /** Rank of each node, then of each chunk. */
  readonly rank: Float64Array;
}

/**
 * Relations that explain a question. Two or more named entities are connected with each other, in the order the
 * question names them. For a single one it is its strongest stated relations, those the question asks for
 * first. Without a named entity there are none. Nodes that are merely titles of documents and more than one
 * unstated relation never occur.
 */
export function questionPaths(snapshot: GraphSnapshot, request: PathRequest): GraphPath[] {
  const ends = endsInOrder(snapshot, request.linked);
  const between = ends.length < 2 ? [] : connect(snapshot, ends, request);
  const found =
    between.length > 0
      ? between
      : ends.flatMap((end) => relationsOf(snapshot, end, request)).slice(0, MAX_RELATIONS);
  return found.map((path) => describePath(snapshot, path, (row) => request.factScores[row]!));
}

/** One node for each place of the question, in order: where a name has several owners, the best connected one. */
function endsInOrder(snapshot: GraphSnapshot, linked: readonly LinkedNode[]): number[] {
  const byPlace = new Map<number, number>();
  for (const { node, place } of linked) {
    const other = byPlace.get(place);
    if (other === undefined || statedEdges(snapshot, node).length > statedEdges(snapshot, other).length)
      byPlace.set(place, node);
  }
  const ordered = [...byPlace].sort(([left], [right]) => left - right).map(([, node]) => node);
  return [...new Set(ordered)].slice(0, MAX_ENDS);
}

function connect(snapshot: GraphSnapshot, ends: readonly number[], request: PathRequest): FoundPath[] {
  const within = new Set(
    topIndexes(request.rank.subarray(0, snapshot.walk.nodeCount), SUBGRAPH_NODES).filter(
      (node) => !snapshot.titleNodes.has(node),
    ),
  );
  const paths: FoundPath[] = [];
  const seen = new Set<string>();
  for (const [index, from] of ends.entries()) {
    for (const to of ends.slice(index + 1)) {
      for (const [order, path] of shortestPaths(snapshot, from, to, {
        count: PATHS_PER_PAIR,
        within,
      }).entries()) {
        const unstated = path.edges.filter((edge) => !isStated(snapshot, edge)).length;
        if (unstated > (order === 0 ? 1 : 0) || seen.has(path.nodes.join())) continue;
        seen.add(path.nodes.join());
        paths.push(path);
      }
    }
  }
  return paths.slice(0, MAX_PATHS);
}

function relationsOf(snapshot: GraphSnapshot, node: number, request: PathRequest): FoundPath[] {
  const asked = askedRelation(request.question);
  const bestScore = (edge: number) => {
    const { offsets, columns } = snapshot.evidence.byEdge;
    let best = 0;
    for (let at = offsets[edge]!; at < offsets[edge + 1]!; at += 1)
      best = Math.max(best, request.factScores[columns[at]!]!);
    return best;
  };
  const ranked = statedEdges(snapshot, node)
    .map((edge) => ({
      edge,
      other: across(snapshot, edge, node),
      asked: asked(typeOf(snapshot, edge), snapshot.edges.target[edge] === node),
      confidence: snapshot.edges.confidence[edge]!,
      score: bestScore(edge),
    }))
    .filter(({ other }) => other !== node && !snapshot.titleNodes.has(other))
    .sort(
      (left, right) =>
        Number(right.asked) - Number(left.asked) ||
        right.confidence - left.confidence ||
        right.score - left.score ||
        left.edge - right.edge,
    );
  const paths = ranked.some((relation) => relation.asked) ? [] : onwards(snapshot, node, request);
  const reached = new Set(paths.map((path) => path.nodes[1]));
  for (const { edge, other } of ranked) {
    if (reached.has(other)) continue;
    reached.add(other);
    paths.push({ nodes: [node, other], edges: [edge], cost: 0 });
  }
  return paths.slice(0, MAX_RELATIONS);
}

/** Through a neighbour that the question describes to what it asks of that: X —founded_by→ Y —born_in→ Z. */
function onwards(snapshot: GraphSnapshot, node: number, request: PathRequest): FoundPath[] {
  const asked = askedRelation(request.question);
  const words = new Set(analyse(request.question));
  const paths: FoundPath[] = [];
  for (const first of statedEdges(snapshot, node)) {
    const middle = across(snapshot, first, node);
    if (middle === node || snapshot.titleNodes.has(middle)) continue;
    if (![...words].some((word) => sharesStem(word, typeOf(snapshot, first)))) continue;
    for (const edge of statedEdges(snapshot, middle)) {
      const end = snapshot.edges.target[edge]!;
      const type = typeOf(snapshot, edge);
      if (end === middle || end === node || snapshot.titleNodes.has(end)) continue;
      if (verbOfRelation(type) === undefined || !asked(type, false)) continue;
      paths.push({ nodes: [node, middle, end], edges: [first, edge], cost: 0 });
    }
  }
  return paths.slice(0, 1);
}

/** `founder` and `founded_by` have their first letters in common. */
function sharesStem(word: string, type: string): boolean {
  return word.length >= STEM_LETTERS && type.startsWith(word.slice(0, STEM_LETTERS));
}

const ASKS_PREREQUISITES =
  /\b(?:require[sd]?|needs?|needed|prerequisites?|before|depends? on|first)\b|需要|先学|先修|前置|基础|之前/iu;

/** Whether a relation of the named entity is what the question's words ask for. */
function askedRelation(question: string): (type: string, incoming: boolean) => boolean {
  const terms = new Set(analyse(question));
  const prerequisites = ASKS_PREREQUISITES.test(question);
  return (type, incoming) => {
    if (type === 'prerequisite_of') return prerequisites && incoming;
    if (type === 'requires') return prerequisites && !incoming;
    return analyse(type.replaceAll('_', ' ')).some((term) => terms.has(term));
  };
}

function statedEdges(snapshot: GraphSnapshot, node: number): number[] {
  const { offsets, columns } = snapshot.nodeEdges;
  return [...columns.subarray(offsets[node]!, offsets[node + 1]!)].filter((edge) => isStated(snapshot, edge));
}

function isStated(snapshot: GraphSnapshot, edge: number): boolean {
  return typeOf(snapshot, edge) !== UNSTATED_RELATION;
}

function typeOf(snapshot: GraphSnapshot, edge: number): string {
  return snapshot.edges.typeNames[snapshot.edges.type[edge]!]!;
}

function across(snapshot: GraphSnapshot, edge: number, node: number): number {
  const { source, target } = snapshot.edges;
  return source[edge] === node ? target[edge]! : source[edge]!;
}
