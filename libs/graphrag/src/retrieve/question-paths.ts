import { verbOfRelation } from '../extract/relation-between.js';
import { analyse } from '../index/analyse.js';
import { bestScored } from '../index/best-scored.js';
import type { Awaitable, GraphReader } from '../index/graph-reader.port.js';
import { UNSTATED_RELATION } from '../index/passage-terms.js';
import type { GraphPath } from '../model.js';
import { describePaths, type FoundPath, pathsBetween } from './find-paths.js';
import type { LinkedNode } from './link-entities.js';
import type { VertexRanks } from './page-rank.js';

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
  /** Scores of facts for the question. */
  readonly factScores: (facts: readonly number[]) => Awaitable<ArrayLike<number>>;
  readonly ranks: VertexRanks;
}

/**
 * Relations that explain a question. Two or more named entities are connected with each other, in the order the
 * question names them. For a single one it is its strongest stated relations, those the question asks for
 * first. Without a named entity there are none. Nodes that are merely titles of documents and more than one
 * unstated relation never occur.
 */
export async function questionPaths(reader: GraphReader, request: PathRequest): Promise<GraphPath[]> {
  const nodes = new Set(request.linked.map(({ node }) => node));
  await reader.loadEdges(nodes);
  const ends = endsInOrder(reader, request.linked);
  const between = ends.length < 2 ? [] : await connect(reader, ends, request);
  const found = between.length > 0 ? between : await relationsOf(reader, ends, request);
  return describePaths(reader, found, request.factScores);
}

/** One node for each place of the question, in order: where a name has several owners, the best connected one. */
function endsInOrder(reader: GraphReader, linked: readonly LinkedNode[]): number[] {
  const byPlace = new Map<number, number>();
  for (const { node, place } of linked) {
    const other = byPlace.get(place);
    if (other === undefined || statedEdges(reader, node).length > statedEdges(reader, other).length)
      byPlace.set(place, node);
  }
  const ordered = [...byPlace].sort(([left], [right]) => left - right).map(([, node]) => node);
  return [...new Set(ordered)].slice(0, MAX_ENDS);
}

async function connect(
  reader: GraphReader,
  ends: readonly number[],
  request: PathRequest,
): Promise<FoundPath[]> {
  const within = await highestNodes(reader, request.ranks);
  const pairs = ends.flatMap((from, index) => ends.slice(index + 1).map((to) => [from, to] as const));
  const paths: FoundPath[] = [];
  const seen = new Set<string>();
  for (const found of await pathsBetween(reader, pairs, { count: PATHS_PER_PAIR, within })) {
    for (const [order, path] of found.entries()) {
      const unstated = path.edges.filter((edge) => !isStated(reader, edge)).length;
      if (unstated > (order === 0 ? 1 : 0) || seen.has(path.nodes.join())) continue;
      seen.add(path.nodes.join());
      paths.push(path);
    }
  }
  return paths.slice(0, MAX_PATHS);
}

/** The nodes of highest rank, without those that are merely titles. */
async function highestNodes(reader: GraphReader, ranks: VertexRanks): Promise<Set<number>> {
  const nodes = ranks.vertices.flatMap((vertex) => reader.vertexNode(vertex) ?? []);
  const highest = bestScored(
    nodes,
    (node) => ranks.of(reader.nodeVertex(node)),
    SUBGRAPH_NODES,
    (left, right) => reader.nodeId(left) < reader.nodeId(right),
  );
  await reader.loadNodes(highest);
  return new Set(highest.filter((node) => !reader.node(node).title));
}

/** The strongest stated relations of the nodes, one node after the other. */
async function relationsOf(
  reader: GraphReader,
  nodes: readonly number[],
  request: PathRequest,
): Promise<FoundPath[]> {
  const asked = askedRelation(request.question);
  const edges = new Set(nodes.flatMap((node) => statedEdges(reader, node)));
  await reader.loadFacts(edges);
  const facts = [...edges].flatMap((edge) => Array.from(reader.factsOf(edge)));
  const scores = await request.factScores(facts);
  const bestScore = new Map<number, number>();
  facts.forEach((fact, at) => {
    const { edge } = reader.fact(fact);
    bestScore.set(edge, Math.max(bestScore.get(edge) ?? 0, scores[at]!));
  });
  await reader.loadNodes(
    new Set(nodes.flatMap((node) => statedEdges(reader, node).map((edge) => across(reader, edge, node)))),
  );
  const ranked = nodes.map((node) =>
    statedEdges(reader, node)
      .map((edge) => ({
        edge,
        other: across(reader, edge, node),
        asked: asked(typeOf(reader, edge), reader.edge(edge).target === node),
        confidence: reader.edge(edge).confidence,
        score: bestScore.get(edge) ?? 0,
      }))
      .filter(({ other }) => other !== node && !reader.node(other).title)
      .sort(
        (left, right) =>
          Number(right.asked) - Number(left.asked) ||
          right.confidence - left.confidence ||
          right.score - left.score ||
          (reader.edgeId(left.edge) < reader.edgeId(right.edge) ? -1 : 1),
      ),
  );
  const onward = await onwards(
    reader,
    nodes.filter((_, at) => !ranked[at]!.some((relation) => relation.asked)),
    request,
  );
  const found = nodes.flatMap((node, at) => {
    const paths = onward.get(node) ?? [];
    const reached = new Set(paths.map((path) => path.nodes[1]));
    for (const { edge, other } of ranked[at]!) {
      if (reached.has(other)) continue;
      reached.add(other);
      paths.push({ nodes: [node, other], edges: [edge], cost: 0 });
    }
    return paths.slice(0, MAX_RELATIONS);
  });
  return found.slice(0, MAX_RELATIONS);
}

/**
 * Of each node the way through a neighbour that the question describes to what it asks of that:
 * X —founded_by→ Y —born_in→ Z.
 */
async function onwards(
  reader: GraphReader,
  nodes: readonly number[],
  request: PathRequest,
): Promise<Map<number, FoundPath[]>> {
  const asked = askedRelation(request.question);
  const words = [...new Set(analyse(request.question))];
  const firsts = nodes.flatMap((node) =>
    statedEdges(reader, node)
      .filter((edge) => words.some((word) => sharesStem(word, typeOf(reader, edge))))
      .map((edge) => ({ node, edge, middle: across(reader, edge, node) }))
      .filter(({ middle }) => middle !== node && !reader.node(middle).title),
  );
  await reader.loadEdges(new Set(firsts.map(({ middle }) => middle)));
  const seconds = firsts.flatMap((first) =>
    statedEdges(reader, first.middle)
      .filter(
        (edge) => verbOfRelation(typeOf(reader, edge)) !== undefined && asked(typeOf(reader, edge), false),
      )
      .map((edge) => ({ ...first, second: edge, end: reader.edge(edge).target }))
      .filter(({ end }) => end !== first.middle && end !== first.node),
  );
  await reader.loadNodes(new Set(seconds.map(({ end }) => end)));
  const paths = new Map<number, FoundPath[]>();
  for (const { node, edge, middle, second, end } of seconds) {
    if (paths.has(node) || reader.node(end).title) continue;
    paths.set(node, [{ nodes: [node, middle, end], edges: [edge, second], cost: 0 }]);
  }
  return paths;
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

function statedEdges(reader: GraphReader, node: number): number[] {
  return Array.from(reader.edgesAt(node)!).filter((edge) => isStated(reader, edge));
}

function isStated(reader: GraphReader, edge: number): boolean {
  return typeOf(reader, edge) !== UNSTATED_RELATION;
}

function typeOf(reader: GraphReader, edge: number): string {
  return reader.edge(edge).type;
}

function across(reader: GraphReader, edge: number, node: number): number {
  const { source, target } = reader.edge(edge);
  return source === node ? target : source;
}
