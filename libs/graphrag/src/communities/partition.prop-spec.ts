import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WeightedGraph } from './community-graph.js';
import { extendPartition } from './extend-partition.js';
import { matchCommunities } from './match-communities.js';
import { partitionGraph, renumbered } from './partition.js';
import { runPartition } from './partition-runner.js';

const graphs = fc.integer({ min: 1, max: 40 }).chain((vertexCount) =>
  fc
    .array(fc.tuple(fc.nat(vertexCount - 1), fc.nat(vertexCount - 1), fc.integer({ min: 1, max: 5 })), {
      maxLength: 100,
    })
    .map((edges): WeightedGraph => {
      const kept = edges.filter(([a, b]) => a !== b);
      return {
        vertexCount,
        source: Int32Array.from(kept, ([a]) => a),
        target: Int32Array.from(kept, ([, b]) => b),
        weight: Float64Array.from(kept, ([, , weight]) => weight),
      };
    }),
);

/** `groups` complete graphs of `size` vertices, neighbours joined by one weak edge. */
function cliques(groups: number, size: number): WeightedGraph {
  const edges: [number, number, number][] = [];
  for (let group = 0; group < groups; group += 1) {
    for (let a = 0; a < size; a += 1)
      for (let b = a + 1; b < size; b += 1) edges.push([group * size + a, group * size + b, 1]);
    if (group > 0) edges.push([group * size, (group - 1) * size, 0.1]);
  }
  return {
    vertexCount: groups * size,
    source: Int32Array.from(edges, ([a]) => a),
    target: Int32Array.from(edges, ([, b]) => b),
    weight: Float64Array.from(edges, ([, , weight]) => weight),
  };
}

describe('the partition of a graph', () => {
  it('finds groups that hardly touch', () => {
    const { coarse } = partitionGraph(cliques(4, 6));
    expect(coarse).toEqual(Int32Array.from({ length: 24 }, (_, vertex) => Math.floor(vertex / 6)));
  });

  it('has fine communities within coarse ones, numbers from zero, and is the same each time', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { fine, coarse } = partitionGraph(graph);
        expect(fine).toHaveLength(graph.vertexCount);
        expect(renumbered(fine)).toEqual(fine);
        expect(renumbered(coarse)).toEqual(coarse);
        const parents = new Map<number, number>();
        fine.forEach((community, vertex) => {
          expect(parents.get(community) ?? coarse[vertex]).toBe(coarse[vertex]);
          parents.set(community, coarse[vertex]!);
        });
        expect(partitionGraph(graph)).toEqual({ fine, coarse });
      }),
    );
  });

  it('is the same on a thread of its own, which can be cancelled', async () => {
    const graph = cliques(5, 5);
    expect(await runPartition(graph, { edgesInPlace: 0 })).toEqual(partitionGraph(graph));
    const cancelled = new AbortController();
    const run = runPartition(graph, { edgesInPlace: 0, signal: cancelled.signal });
    const reason = new Error('enough');
    cancelled.abort(reason);
    await expect(run).rejects.toBe(reason);
  });
});

describe('an extended partition', () => {
  const withKnown = graphs.chain((graph) =>
    fc.record({
      graph: fc.constant(graph),
      known: fc.array(fc.integer({ min: -1, max: 3 }), {
        minLength: graph.vertexCount,
        maxLength: graph.vertexCount,
      }),
    }),
  );

  it('moves nobody, and gives every new vertex the community of a neighbour or one of its own', () => {
    fc.assert(
      fc.property(withKnown, ({ graph, known }) => {
        const before = Int32Array.from(known);
        const after = extendPartition(graph, before);
        const highest = Math.max(-1, ...known);
        after.forEach((community, vertex) => {
          if (before[vertex]! >= 0) expect(community).toBe(before[vertex]);
          else if (community <= highest) expect(known).toContain(community);
          expect(community).toBeGreaterThanOrEqual(0);
        });
        graph.source.forEach((source, edge) => {
          const [a, b] = [after[source]!, after[graph.target[edge]!]!];
          if (a > highest && b > highest) expect(a).toBe(b);
        });
      }),
    );
  });

  it('lets a new vertex join the community it is most strongly connected with', () => {
    const graph = cliques(2, 4);
    const known = Int32Array.from([0, 0, 0, 0, 1, 1, 1, -1]);
    expect([...extendPartition(graph, known)]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  });
});

describe('ids of communities', () => {
  const sets = fc.array(fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { minLength: 1 }), { maxLength: 5 });

  it('are given once, to communities that overlap, and to those that stayed the same always', () => {
    fc.assert(
      fc.property(sets, sets, (now, before) => {
        const previous = before.map((members, index) => ({ id: `c${index}`, members: new Set(members) }));
        const ids = matchCommunities(
          now.map((members) => new Set(members)),
          previous,
        );
        const given = ids.filter((id) => id !== undefined);
        expect(new Set(given).size).toBe(given.length);
        ids.forEach((id, index) => {
          if (id === undefined) return;
          const members = previous.find((each) => each.id === id)!.members;
          expect(now[index]!.some((member) => members.has(member))).toBe(true);
        });
      }),
    );
    const same = [new Set(['a', 'b']), new Set(['c', 'd', 'e'])];
    const previous = [
      { id: 'two', members: new Set(['c', 'd', 'e']) },
      { id: 'one', members: new Set(['a', 'b']) },
    ];
    expect(matchCommunities(same, previous)).toEqual(['one', 'two']);
    expect(matchCommunities([new Set(['x'])], previous)).toEqual([undefined]);
  });
});
