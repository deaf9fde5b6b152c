import type { GraphReader } from '../index/graph-reader.port.js';

export interface PageRankOptions {
  /** Probability of going on instead of jumping back to the seeds. Default 0.5. */
  readonly damping?: number;
  /** Default 20: with damping 0.5 less than a millionth of the mass is on its way then. It stays where it is. */
  readonly rounds?: number;
  /** Mass stays at a vertex while it is below this for each of its neighbours. Default 1e-7. */
  readonly tolerance?: number;
}

/** Ranks of the vertices a walk came to; all others have rank 0. */
export interface VertexRanks {
  /** Every vertex with a rank above 0, once, in the order the walk came to them. */
  readonly vertices: readonly number[];
  of(vertex: number): number;
}

/**
 * Personalised PageRank (Haveliwala 2002) by local push (Andersen, Chung & Lang 2006), from seeds that are
 * normalised to 1. A vertex keeps `1 − d` of the mass that comes to it and hands on the rest, as soon as each of
 * its neighbours would get something worth while: so a hub is walked through only by much mass, a rarely mentioned
 * node by little, and the work depends on the tolerance, not on the size of the graph. What is not handed on stays
 * where it is, and ranks add up to 1.
 *
 * Pushes come in rounds, and the reader is asked once in each for what the round needs.
 */
export async function personalisedPageRank(
  reader: GraphReader,
  seeds: ReadonlyMap<number, number>,
  options: PageRankOptions = {},
): Promise<VertexRanks> {
  const damping = options.damping ?? 0.5;
  const rounds = options.rounds ?? 20;
  const tolerance = options.tolerance ?? 1e-7;
  let rank = new Float64Array(reader.vertexBound);
  /** Mass that came to a vertex and is not handed on yet. */
  let waiting = new Float64Array(reader.vertexBound);
  let flags = new Uint8Array(reader.vertexBound);
  const reached: number[] = [];
  let candidates: number[] = [];
  const receive = (vertex: number, mass: number) => {
    waiting[vertex]! += mass;
    if (flags[vertex] === 0) {
      reached.push(vertex);
      flags[vertex] = REACHED;
    }
    if (flags[vertex] === REACHED && waiting[vertex]! >= tolerance) {
      candidates.push(vertex);
      flags[vertex] = REACHED | CANDIDATE;
    }
  };
  let total = 0;
  for (const weight of seeds.values()) total += Math.max(0, weight);
  for (const [vertex, weight] of seeds) if (weight > 0) receive(vertex, weight / total);

  for (let round = 0; round < rounds && candidates.length > 0; round += 1) {
    const sizes = reader.loadWalkSizes(candidates);
    if (sizes) await sizes;
    const pushed = candidates.filter((vertex) => {
      const size = reader.walk.size(vertex);
      return size > 0 && waiting[vertex]! >= tolerance * size;
    });
    const rows = reader.loadWalk(pushed);
    if (rows) await rows;
    rank = grown(rank, reader.vertexBound, Float64Array);
    waiting = grown(waiting, reader.vertexBound, Float64Array);
    flags = grown(flags, reader.vertexBound, Uint8Array);
    for (const vertex of candidates) flags[vertex] = REACHED;
    candidates = [];
    const { walk } = reader;
    const { columns, probabilities } = walk;
    for (const vertex of pushed) {
      const mass = waiting[vertex]!;
      waiting[vertex] = 0;
      rank[vertex]! += (1 - damping) * mass;
      const onward = damping * mass;
      const end = walk.end(vertex);
      for (let at = walk.start(vertex); at < end; at += 1) receive(columns[at]!, onward * probabilities[at]!);
    }
  }
  for (const vertex of reached) rank[vertex]! += waiting[vertex]!;
  return { vertices: reached, of: (vertex) => rank[vertex] ?? 0 };
}

const REACHED = 1;
const CANDIDATE = 2;

function grown<Values extends Float64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  values: Values,
  size: number,
  kind: new (size: number) => Values,
): Values {
  if (size <= values.length) return values;
  const larger = new kind(2 * size);
  larger.set(values);
  return larger;
}
