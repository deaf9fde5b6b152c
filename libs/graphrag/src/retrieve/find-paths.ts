import type { Awaitable, GraphReader, ReaderEdge, ReaderFact } from '../index/graph-reader.port.js';
import { UNSTATED_RELATION } from '../index/passage-terms.js';
import type { GraphPath, PathStep } from '../model.js';

export interface PathOptions {
  /** How many paths, the best first. Default 1. */
  readonly count?: number;
  /** Default 4. */
  readonly maxHops?: number;
  /** Nodes a search may expand before it gives up. Default 5,000. */
  readonly maxExpansions?: number;
  /** When given, only these nodes are walked through, besides both ends. */
  readonly within?: ReadonlySet<number>;
}

/** A walk as node numbers and the edges between them. */
export interface FoundPath {
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
  readonly cost: number;
}

/** A path through a node with many edges says little; an edge without a stated relation says less. */
const HUB_SHARE = 0.25;
const UNSTATED_COST = 1.5;

/**
 * What walking an edge into a node costs: 1, more for low confidence (`−ln`), for `related_to`, and for a hub
 * (a quarter of the logarithm of its edges). The end of a path is no hub.
 */
export function edgeCost(reader: GraphReader, edge: number, into: number, end: number): number {
  return ownCost(reader.edge(edge)) + (into === end ? 0 : hubCost(reader.degree(into)!));
}

function ownCost({ confidence, type }: ReaderEdge): number {
  return 1 - Math.log(Math.max(0.01, confidence)) + (type === UNSTATED_RELATION ? UNSTATED_COST : 0);
}

function hubCost(degree: number): number {
  return HUB_SHARE * Math.log(Math.max(1, degree));
}

/** Nodes and edges that a detour must avoid. */
interface Banned {
  readonly nodes: ReadonlySet<number>;
  readonly edges: ReadonlySet<number>;
}

const NOTHING_BANNED: Banned = { nodes: new Set(), edges: new Set() };

/**
 * The cheapest simple paths between two nodes by {@link edgeCost}, edges walked in either direction: Dijkstra
 * over (node, hops), and Yen's algorithm (1971) for more than one. Equal costs are ordered by the edges' ids.
 *
 * A search that comes to edges not loaded takes them for missing, goes on, and is repeated once all of those are
 * loaded: at most about once for each hop, however many nodes it expands.
 */
export async function shortestPaths(
  reader: GraphReader,
  from: number,
  to: number,
  options: PathOptions = {},
): Promise<FoundPath[]> {
  const [paths] = await pathsBetween(reader, [[from, to]], options);
  return paths!;
}

/** {@link shortestPaths} of several pairs, loaded together. */
export async function pathsBetween(
  reader: GraphReader,
  pairs: readonly (readonly [from: number, to: number])[],
  options: PathOptions = {},
): Promise<FoundPath[][]> {
  const ends = new Set(pairs.flat());
  const within = options.within && new Set([...options.within, ...ends]);
  await reader.loadNodes(within ?? ends);
  const among = within && (await reader.edgesAmong(within));
  for (;;) {
    const neighbours = new Neighbours(reader, among);
    const found = pairs.map(([from, to]) => yenPaths(reader, from, to, options, neighbours));
    if (neighbours.missing.size === 0) return found;
    await reader.loadEdges(neighbours.missing);
    await reader.loadNodes(neighbours.nodesBeyond());
  }
}

function yenPaths(
  reader: GraphReader,
  from: number,
  to: number,
  options: PathOptions,
  neighbours: Neighbours,
): FoundPath[] {
  const count = options.count ?? 1;
  if (from === to || count < 1) return [];
  const search = {
    neighbours,
    allowed: options.within && new Set([...options.within, from, to]),
    maxExpansions: options.maxExpansions ?? 5000,
  };
  const first = cheapestPath(reader, from, to, options.maxHops ?? 4, search, NOTHING_BANNED);
  if (!first) return [];
  const found = [first];
  const candidates = new Map<string, FoundPath>();
  while (found.length < count) {
    const last = found.at(-1)!;
    for (let spur = 0; spur < last.edges.length; spur += 1) {
      const rootNodes = last.nodes.slice(0, spur + 1);
      const rootEdges = last.edges.slice(0, spur);
      const banned = {
        nodes: new Set(rootNodes.slice(0, -1)),
        edges: new Set(
          found
            .filter((path) => rootEdges.every((edge, at) => path.edges[at] === edge))
            .map((path) => path.edges[spur]!),
        ),
      };
      const hops = (options.maxHops ?? 4) - spur;
      const detour = cheapestPath(reader, rootNodes.at(-1)!, to, hops, search, banned);
      if (!detour) continue;
      const path = joinPaths(reader, rootNodes, rootEdges, detour, to);
      candidates.set(path.edges.join(), path);
    }
    for (const path of found) candidates.delete(path.edges.join());
    const next = [...candidates.values()].sort((left, right) => comparePaths(reader, left, right))[0];
    if (!next) break;
    found.push(next);
  }
  return found;
}

function joinPaths(
  reader: GraphReader,
  rootNodes: readonly number[],
  rootEdges: readonly number[],
  detour: FoundPath,
  to: number,
): FoundPath {
  const rootCost = rootEdges.reduce(
    (sum, edge, at) => sum + edgeCost(reader, edge, rootNodes[at + 1]!, to),
    0,
  );
  return {
    nodes: [...rootNodes, ...detour.nodes.slice(1)],
    edges: [...rootEdges, ...detour.edges],
    cost: rootCost + detour.cost,
  };
}

function comparePaths(reader: GraphReader, left: FoundPath, right: FoundPath): number {
  if (Math.abs(left.cost - right.cost) > 1e-9) return left.cost - right.cost;
  for (let at = 0; at < left.edges.length && at < right.edges.length; at += 1) {
    const [mine, other] = [left.edges[at]!, right.edges[at]!];
    if (mine !== other) return reader.edgeId(mine) < reader.edgeId(other) ? -1 : 1;
  }
  return left.edges.length - right.edges.length;
}

interface Label {
  readonly node: number;
  readonly hops: number;
  readonly cost: number;
  readonly edge: number;
  readonly previous: Label | undefined;
}

/** Where the edges at a node lead, as columns. */
interface Steps {
  readonly edges: ArrayLike<number>;
  readonly others: Int32Array;
  /** What the edge costs by itself, and what the node it leads to adds unless it is the end. */
  readonly costs: Float64Array;
  readonly hubCosts: Float64Array;
}

const NO_STEPS: Steps = {
  edges: [],
  others: new Int32Array(0),
  costs: new Float64Array(0),
  hubCosts: new Float64Array(0),
};

/** Steps from each node, shared by all searches of one attempt, which notes those that it would have needed. */
class Neighbours {
  readonly missing = new Set<number>();
  private readonly steps = new Map<number, Steps>();

  constructor(
    private readonly reader: GraphReader,
    private readonly among: ((node: number) => ArrayLike<number>) | undefined,
  ) {}

  at(node: number): Steps {
    let steps = this.steps.get(node);
    if (!steps) {
      steps = this.stepsFrom(node);
      if (!steps) {
        this.missing.add(node);
        steps = NO_STEPS;
      }
      this.steps.set(node, steps);
    }
    return steps;
  }

  /** Where the edges that were missing lead. */
  nodesBeyond(): Set<number> {
    const beyond = new Set<number>();
    for (const node of this.missing)
      for (const edge of Array.from(this.reader.edgesAt(node)!))
        beyond.add(across(this.reader.edge(edge), node));
    return beyond;
  }

  /** Nothing when the edges, or the nodes they lead to, are not loaded. */
  private stepsFrom(node: number): Steps | undefined {
    const { reader } = this;
    const edges = this.among ? this.among(node) : reader.edgesAt(node);
    if (!edges) return undefined;
    const others = new Int32Array(edges.length);
    const costs = new Float64Array(edges.length);
    const hubCosts = new Float64Array(edges.length);
    for (let at = 0; at < edges.length; at += 1) {
      const edge = reader.edge(edges[at]!);
      const other = across(edge, node);
      const degree = reader.degree(other);
      if (degree === undefined) return undefined;
      others[at] = other;
      costs[at] = ownCost(edge);
      hubCosts[at] = hubCost(degree);
    }
    return { edges, others, costs, hubCosts };
  }
}

function across({ source, target }: ReaderEdge, node: number): number {
  return source === node ? target : source;
}

interface PathSearch {
  readonly neighbours: Neighbours;
  readonly allowed: ReadonlySet<number> | undefined;
  readonly maxExpansions: number;
}

function cheapestPath(
  reader: GraphReader,
  from: number,
  to: number,
  maxHops: number,
  search: PathSearch,
  banned: Banned,
): FoundPath | undefined {
  const heap = new LabelHeap(reader);
  /** Fewest hops with which a node was settled: a later label costs more, so it must have fewer hops to matter. */
  const settledHops = new Map<number, number>();
  const cheapest = new Map<number, number>();
  heap.push({ node: from, hops: 0, cost: 0, edge: -1, previous: undefined });
  let expansions = 0;
  for (let label = heap.pop(); label; label = heap.pop()) {
    if (label.node === to) return tracePath(label);
    const known = settledHops.get(label.node);
    if (known !== undefined && known <= label.hops) continue;
    settledHops.set(label.node, label.hops);
    if (label.hops >= maxHops) continue;
    expansions += 1;
    if (expansions > search.maxExpansions) return undefined;
    const hops = label.hops + 1;
    const { edges, others, costs, hubCosts } = search.neighbours.at(label.node);
    for (let at = 0; at < edges.length; at += 1) {
      const edge = edges[at]!;
      const next = others[at]!;
      if (search.allowed?.has(next) === false) continue;
      if (banned.nodes.has(next) || banned.edges.has(edge) || visits(label, next)) continue;
      const cost = label.cost + (costs[at]! + (next === to ? 0 : hubCosts[at]!));
      const place = next * (maxHops + 1) + hops;
      if (cost >= (cheapest.get(place) ?? Number.POSITIVE_INFINITY)) continue;
      cheapest.set(place, cost);
      heap.push({ node: next, hops, cost, edge, previous: label });
    }
  }
  return undefined;
}

function visits(label: Label, node: number): boolean {
  for (let at: Label | undefined = label; at; at = at.previous) if (at.node === node) return true;
  return false;
}

function tracePath(last: Label): FoundPath {
  const nodes: number[] = [];
  const edges: number[] = [];
  for (let at: Label | undefined = last; at; at = at.previous) {
    nodes.unshift(at.node);
    if (at.previous) edges.unshift(at.edge);
  }
  return { nodes, edges, cost: last.cost };
}

/** Binary heap by cost, then by hops, then by the edge's id, so that a search never depends on insertion order. */
class LabelHeap {
  private readonly labels: Label[] = [];

  constructor(private readonly reader: GraphReader) {}

  push(label: Label): void {
    const { labels } = this;
    let at = labels.length;
    labels.push(label);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(label, labels[parent]!)) break;
      labels[at] = labels[parent]!;
      at = parent;
    }
    labels[at] = label;
  }

  pop(): Label | undefined {
    const { labels } = this;
    const first = labels[0];
    const last = labels.pop();
    if (!last || labels.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= labels.length) break;
      if (child + 1 < labels.length && this.before(labels[child + 1]!, labels[child]!)) child += 1;
      if (!this.before(labels[child]!, last)) break;
      labels[at] = labels[child]!;
      at = child;
    }
    labels[at] = last;
    return first;
  }

  private before(left: Label, right: Label): boolean {
    if (left.cost !== right.cost) return left.cost < right.cost;
    if (left.hops !== right.hops) return left.hops < right.hops;
    if (left.edge === right.edge || left.edge < 0 || right.edge < 0) return left.edge < right.edge;
    return this.reader.edgeId(left.edge) < this.reader.edgeId(right.edge);
  }
}

/**
 * Paths between two nodes by id, with their relations and one stated evidence for each step; empty when either
 * node is unknown or nothing within the limits connects them.
 */
export async function findPaths(
  reader: GraphReader,
  fromId: string,
  toId: string,
  options: PathOptions = {},
): Promise<GraphPath[]> {
  const [from, to] = await reader.nodesOf([fromId, toId]);
  if (from === undefined || to === undefined) return [];
  return describePaths(reader, await shortestPaths(reader, from, to, options));
}

/** Found paths with names and evidence. `factScores` chooses among several statements of one edge. */
export async function describePaths(
  reader: GraphReader,
  paths: readonly Pick<FoundPath, 'nodes' | 'edges'>[],
  factScores: (facts: readonly number[]) => Awaitable<ArrayLike<number>> = (facts) => facts.map(() => 0),
): Promise<GraphPath[]> {
  const edges = new Set(paths.flatMap((path) => path.edges));
  await reader.loadNodes(new Set(paths.flatMap((path) => path.nodes)));
  await reader.loadFacts(edges);
  const facts = [...edges].flatMap((edge) => Array.from(reader.factsOf(edge)));
  const scores = await factScores(facts);
  const scoreOf = new Map(facts.map((fact, at) => [fact, scores[at]!]));
  return paths.map((path) => describePath(reader, path, (fact) => scoreOf.get(fact)!));
}

function describePath(
  reader: GraphReader,
  path: Pick<FoundPath, 'nodes' | 'edges'>,
  evidenceScore: (fact: number) => number,
): GraphPath {
  const steps = path.edges.map((edge, at): PathStep => {
    const from = reader.node(path.nodes[at]!);
    const to = reader.node(path.nodes[at + 1]!);
    const { type, source, confidence } = reader.edge(edge);
    const best = bestEvidence(reader, edge, evidenceScore);
    return {
      edgeId: reader.edgeId(edge),
      fromId: from.id,
      from: from.name,
      toId: to.id,
      to: to.name,
      type,
      reversed: source !== path.nodes[at],
      confidence,
      ...(best && { chunkId: reader.chunkId(best.chunk), statement: best.statement }),
    };
  });
  return {
    nodes: path.nodes.map((node) => ({ id: reader.nodeId(node), name: reader.node(node).name })),
    steps,
    score: steps.reduce((product, step) => product * step.confidence, 1),
  };
}

function bestEvidence(
  reader: GraphReader,
  edge: number,
  evidenceScore: (fact: number) => number,
): ReaderFact | undefined {
  const facts = reader.factsOf(edge);
  let best: number | undefined;
  for (let at = 0; at < facts.length; at += 1) {
    const fact = facts[at]!;
    if (best === undefined || evidenceScore(fact) > evidenceScore(best)) best = fact;
  }
  return best === undefined ? undefined : reader.fact(best);
}
