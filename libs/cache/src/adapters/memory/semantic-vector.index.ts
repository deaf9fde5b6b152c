import { type Random, SystemRandom } from '@sparkle/contracts';

/** A point of the graph. Items with one vector share one: a crowd at one place would link to nothing else. */
interface Node<Item> {
  readonly items: Set<Item>;
  readonly vector: Float32Array;
  /** By layer: the nodes a search goes on to from here. */
  readonly links: Node<Item>[][];
  /** By layer: the nodes that link here. */
  readonly linkedFrom: Set<Node<Item>>[];
}

interface Found<Item> {
  readonly node: Node<Item>;
  readonly similarity: number;
}

/** Links per node and layer; twice as many in the lowest. */
const LINKS = 12;
/** Vectors nearer than this are one. */
const SAME_PLACE = 1e-6;
/** Breadth of the search for an item with the same vector. */
const TWIN_BREADTH = 16;
/** Breadth of the search for a new node's neighbours. */
const BUILD_BREADTH = 64;
/** Neighbours of a removed node that each node which pointed at it is linked to. */
const HEIRS = 3;

/**
 * Nearest neighbours of unit vectors by dot product, without looking at all of them: a hierarchical navigable
 * small world graph (Malkov and Yashunin, IEEE TPAMI 42, 2020, algorithms 1, 2, 4 and 5). Removing a node links
 * those that pointed at it to its neighbours, so that there is nothing to rebuild.
 */
export class SemanticVectorIndex<Item> {
  private readonly nodes = new Map<Item, Node<Item>>();
  private entrance: Node<Item> | undefined;

  constructor(private readonly random: Random = new SystemRandom()) {}

  get size(): number {
    return this.nodes.size;
  }

  /** Adds an item, or gives it another vector. */
  set(item: Item, vector: Float32Array): void {
    this.delete(item);
    const [nearest] = this.search(vector, 1, TWIN_BREADTH);
    if (nearest && dot(vector, vector) - nearest.similarity < SAME_PLACE) {
      const twin = this.nodes.get(nearest.item)!;
      twin.items.add(item);
      this.nodes.set(item, twin);
    } else this.nodes.set(item, this.join(item, vector));
  }

  delete(item: Item): void {
    const node = this.nodes.get(item);
    if (!node) return;
    this.nodes.delete(item);
    node.items.delete(item);
    if (node.items.size > 0) return;
    for (let layer = 0; layer < node.links.length; layer++) {
      const onward = [...node.links[layer]!];
      const orphans = [...node.linkedFrom[layer]!];
      for (const neighbour of onward) unlink(node, neighbour, layer);
      for (const orphan of orphans) {
        unlink(orphan, node, layer);
        for (const heir of nearestTo(orphan, onward, HEIRS)) link(orphan, heir, layer);
        this.prune(orphan, layer);
      }
    }
    if (this.entrance === node) this.entrance = this.highest();
  }

  /**
   * The most similar items, best first.
   * @param breadth how many are kept in view on the way; at least `limit`. More finds more reliably.
   */
  search(vector: Float32Array, limit: number, breadth: number): { item: Item; similarity: number }[] {
    if (!this.entrance) return [];
    const found = this.searchLayer(vector, this.descend(vector, 0), Math.max(limit, breadth), 0);
    return found
      .flatMap(({ node, similarity }) => [...node.items].map((item) => ({ item, similarity })))
      .slice(0, limit);
  }

  /** Makes a node and links it with its neighbours, in as many layers as chance gives it. */
  private join(item: Item, vector: Float32Array): Node<Item> {
    const layers = 1 + Math.floor(-Math.log(1 - this.random.next()) / Math.log(LINKS));
    const node: Node<Item> = {
      items: new Set([item]),
      vector,
      links: Array.from({ length: layers }, () => []),
      linkedFrom: Array.from({ length: layers }, () => new Set()),
    };
    const { entrance } = this;
    if (entrance) {
      const shared = Math.min(entrance.links.length, layers) - 1;
      let nearest = this.descend(vector, shared);
      for (let layer = shared; layer >= 0; layer--) {
        nearest = this.searchLayer(vector, nearest, BUILD_BREADTH, layer);
        for (const neighbour of spread(nearest, LINKS)) {
          link(node, neighbour, layer);
          link(neighbour, node, layer);
          this.prune(neighbour, layer);
        }
      }
    }
    if (layers > (entrance?.links.length ?? 0)) this.entrance = node;
    return node;
  }

  /** The nearest node of the layers above `layer`. */
  private descend(vector: Float32Array, layer: number): Found<Item>[] {
    const entrance = this.entrance!;
    let nearest = [{ node: entrance, similarity: dot(vector, entrance.vector) }];
    for (let above = entrance.links.length - 1; above > layer; above--)
      nearest = this.searchLayer(vector, nearest, 1, above);
    return nearest;
  }

  /** Walks from `start` to nearer and nearer nodes while one of the best `breadth` has unseen links. */
  private searchLayer(
    vector: Float32Array,
    start: readonly Found<Item>[],
    breadth: number,
    layer: number,
  ): Found<Item>[] {
    const seen = new Set(start.map(({ node }) => node));
    const best = [...start].sort(bySimilarity);
    const toVisit = new Set(best);
    while (toVisit.size > 0) {
      const next = firstOf(best, toVisit);
      if (!next) break;
      toVisit.delete(next);
      for (const node of next.node.links[layer]!) {
        if (seen.has(node)) continue;
        seen.add(node);
        const similarity = dot(vector, node.vector);
        if (best.length >= breadth && similarity <= best.at(-1)!.similarity) continue;
        const found = { node, similarity };
        insert(best, found);
        toVisit.add(found);
        if (best.length > breadth) toVisit.delete(best.pop()!);
      }
    }
    return best;
  }

  private prune(node: Node<Item>, layer: number): void {
    const links = node.links[layer]!;
    const most = layer === 0 ? 2 * LINKS : LINKS;
    if (links.length <= most) return;
    const kept = new Set(spread(rankedFrom(node, links), most));
    for (const other of [...links]) if (!kept.has(other)) unlink(node, other, layer);
  }

  private highest(): Node<Item> | undefined {
    let highest: Node<Item> | undefined;
    for (const node of this.nodes.values())
      if (!highest || node.links.length > highest.links.length) highest = node;
    return highest;
  }
}

/**
 * Up to `count` of the nodes found, nearest first, that are nearer to what was searched for than to each other,
 * so that links lead in different directions; filled up with the nearest of the others.
 */
function spread<Item>(found: readonly Found<Item>[], count: number): readonly Node<Item>[] {
  if (found.length <= count) return found.map(({ node }) => node);
  const kept: Node<Item>[] = [];
  const others: Node<Item>[] = [];
  for (const { node, similarity } of found) {
    if (kept.length === count) break;
    if (kept.every((other) => dot(node.vector, other.vector) < similarity)) kept.push(node);
    else others.push(node);
  }
  return [...kept, ...others.slice(0, count - kept.length)];
}

function rankedFrom<Item>(node: Node<Item>, others: readonly Node<Item>[]): Found<Item>[] {
  return others
    .map((other) => ({ node: other, similarity: dot(node.vector, other.vector) }))
    .sort(bySimilarity);
}

function nearestTo<Item>(node: Node<Item>, others: readonly Node<Item>[], count: number): Node<Item>[] {
  return rankedFrom(
    node,
    others.filter((other) => other !== node),
  )
    .slice(0, count)
    .map((found) => found.node);
}

function link<Item>(from: Node<Item>, to: Node<Item>, layer: number): void {
  const linkedFrom = to.linkedFrom[layer]!;
  if (linkedFrom.has(from)) return;
  from.links[layer]!.push(to);
  linkedFrom.add(from);
}

function unlink<Item>(from: Node<Item>, to: Node<Item>, layer: number): void {
  if (!to.linkedFrom[layer]!.delete(from)) return;
  const links = from.links[layer]!;
  links.splice(links.indexOf(to), 1);
}

function bySimilarity<Item>(left: Found<Item>, right: Found<Item>): number {
  return right.similarity - left.similarity;
}

function firstOf<T>(ordered: readonly T[], members: ReadonlySet<T>): T | undefined {
  return ordered.find((item) => members.has(item));
}

/** Keeps the best first. */
function insert<Item>(best: Found<Item>[], found: Found<Item>): void {
  let low = 0;
  let high = best.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (best[middle]!.similarity >= found.similarity) low = middle + 1;
    else high = middle;
  }
  best.splice(low, 0, found);
}

/** Of two vectors of the same length. */
export function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += left[index]! * right[index]!;
  return sum;
}
