import { type GraphSnapshot, UNSTATED_RELATION } from '../index/graph-snapshot.js';
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
export function edgeCost(snapshot: GraphSnapshot, edge: number, into: number, end: number): number {
  const { confidence, type, typeNames } = snapshot.edges;
  const unstated = typeNames[type[edge]!] === UNSTATED_RELATION ? UNSTATED_COST : 0;
  const { offsets } = snapshot.nodeEdges;
  const hub = into === end ? 0 : HUB_SHARE * Math.log(Math.max(1, offsets[into + 1]! - offsets[into]!));
  return 1 - Math.log(Math.max(0.01, confidence[edge]!)) + unstated + hub;
}

/** Nodes and edges that a detour must avoid. */
interface Banned {
  readonly nodes: ReadonlySet<number>;
  readonly edges: ReadonlySet<number>;
}

const NOTHING_BANNED: Banned = { nodes: new Set(), edges: new Set() };

/**
 * The cheapest simple paths between two nodes by {@link edgeCost}, edges walked in either direction: Dijkstra
 * over (node, hops), and Yen's algorithm (1971) for more than one. Equal costs are ordered by edge numbers.
 */
export function shortestPaths(
  snapshot: GraphSnapshot,
  from: number,
  to: number,
  options: PathOptions = {},
): FoundPath[] {
  const count = options.count ?? 1;
  if (from === to || count < 1) return [];
  const within = options.within && new Set([...options.within, from, to]);
  const search = {
    neighbours: new Neighbours(snapshot, within),
    maxExpansions: options.maxExpansions ?? 5000,
  };
  const first = cheapestPath(snapshot, from, to, options.maxHops ?? 4, search, NOTHING_BANNED);
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
      const detour = cheapestPath(snapshot, rootNodes.at(-1)!, to, hops, search, banned);
      if (!detour) continue;
      const path = joinPaths(snapshot, rootNodes, rootEdges, detour, to);
      candidates.set(path.edges.join(), path);
    }
    for (const path of found) candidates.delete(path.edges.join());
    const next = [...candidates.values()].sort(comparePaths)[0];
    if (!next) break;
    found.push(next);
  }
  return found;
}

function joinPaths(
  snapshot: GraphSnapshot,
  rootNodes: readonly number[],
  rootEdges: readonly number[],
  detour: FoundPath,
  to: number,
): FoundPath {
  const rootCost = rootEdges.reduce(
    (sum, edge, at) => sum + edgeCost(snapshot, edge, rootNodes[at + 1]!, to),
    0,
  );
  return {
    nodes: [...rootNodes, ...detour.nodes.slice(1)],
    edges: [...rootEdges, ...detour.edges],
    cost: rootCost + detour.cost,
  };
}

function comparePaths(left: FoundPath, right: FoundPath): number {
  if (Math.abs(left.cost - right.cost) > 1e-9) return left.cost - right.cost;
  for (let at = 0; at < left.edges.length && at < right.edges.length; at += 1) {
    if (left.edges[at] !== right.edges[at]) return left.edges[at]! - right.edges[at]!;
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

/** Walks of one search: the edges at each node, filtered once and shared by all of Yen's detours. */
class Neighbours {
  private readonly edgesOf = new Map<number, Int32Array>();

  constructor(
    private readonly snapshot: GraphSnapshot,
    private readonly within: ReadonlySet<number> | undefined,
  ) {}

  at(node: number): Int32Array {
    const { offsets, columns } = this.snapshot.nodeEdges;
    const known = this.edgesOf.get(node);
    if (known) return known;
    const all = columns.subarray(offsets[node]!, offsets[node + 1]!);
    const { within } = this;
    const kept = within ? all.filter((edge) => within.has(this.across(edge, node))) : all;
    this.edgesOf.set(node, kept);
    return kept;
  }

  across(edge: number, node: number): number {
    const { source, target } = this.snapshot.edges;
    return source[edge] === node ? target[edge]! : source[edge]!;
  }
}

function cheapestPath(
  snapshot: GraphSnapshot,
  from: number,
  to: number,
  maxHops: number,
  search: { readonly neighbours: Neighbours; readonly maxExpansions: number },
  banned: Banned,
): FoundPath | undefined {
  const heap = new LabelHeap();
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
    for (const edge of search.neighbours.at(label.node)) {
      const next = search.neighbours.across(edge, label.node);
      if (banned.nodes.has(next) || banned.edges.has(edge) || visits(label, next)) continue;
      const cost = label.cost + edgeCost(snapshot, edge, next, to);
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

/** Binary heap by cost, then by hops, then by edge number, so that a search never depends on insertion order. */
class LabelHeap {
  private readonly labels: Label[] = [];

  push(label: Label): void {
    const { labels } = this;
    let at = labels.length;
    labels.push(label);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(label, labels[parent]!)) break;
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
      if (child + 1 < labels.length && before(labels[child + 1]!, labels[child]!)) child += 1;
      if (!before(labels[child]!, last)) break;
      labels[at] = labels[child]!;
      at = child;
    }
    labels[at] = last;
    return first;
  }
}

function before(left: Label, right: Label): boolean {
  if (left.cost !== right.cost) return left.cost < right.cost;
  if (left.hops !== right.hops) return left.hops < right.hops;
  return left.edge < right.edge;
}

/**
 * Paths between two nodes by id, with their relations and one stated evidence for each step; empty when either
 * node is unknown or nothing within the limits connects them.
 */
export function findPaths(
  snapshot: GraphSnapshot,
  fromId: string,
  toId: string,
  options: PathOptions = {},
): GraphPath[] {
  const from = snapshot.nodeIndex.get(fromId);
  const to = snapshot.nodeIndex.get(toId);
  if (from === undefined || to === undefined) return [];
  return shortestPaths(snapshot, from, to, options).map((path) => describePath(snapshot, path));
}

/** A found path with names and evidence. `evidenceScore` chooses among several statements of one edge. */
export function describePath(
  snapshot: GraphSnapshot,
  path: Pick<FoundPath, 'nodes' | 'edges'>,
  evidenceScore: (evidenceRow: number) => number = () => 0,
): GraphPath {
  const steps = path.edges.map((edge, at): PathStep => {
    const from = snapshot.nodes[path.nodes[at]!]!;
    const to = snapshot.nodes[path.nodes[at + 1]!]!;
    const row = bestEvidence(snapshot, edge, evidenceScore);
    return {
      edgeId: snapshot.edges.ids[edge]!,
      fromId: from.id,
      from: from.name,
      toId: to.id,
      to: to.name,
      type: snapshot.edges.typeNames[snapshot.edges.type[edge]!]!,
      reversed: snapshot.edges.source[edge] !== path.nodes[at],
      confidence: snapshot.edges.confidence[edge]!,
      ...(row === undefined
        ? {}
        : {
            chunkId: snapshot.chunks[snapshot.evidence.chunk[row]!]!.id,
            statement: snapshot.evidence.statements[row]!,
          }),
    };
  });
  return {
    nodes: path.nodes.map((node) => ({ id: snapshot.nodes[node]!.id, name: snapshot.nodes[node]!.name })),
    steps,
    score: steps.reduce((product, step) => product * step.confidence, 1),
  };
}

function bestEvidence(
  snapshot: GraphSnapshot,
  edge: number,
  evidenceScore: (evidenceRow: number) => number,
): number | undefined {
  const { offsets, columns } = snapshot.evidence.byEdge;
  let best: number | undefined;
  for (let at = offsets[edge]!; at < offsets[edge + 1]!; at += 1) {
    const row = columns[at]!;
    if (best === undefined || evidenceScore(row) > evidenceScore(best)) best = row;
  }
  return best;
}
