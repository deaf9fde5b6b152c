import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildSnapshot, type GraphSnapshot } from '../index/graph-snapshot.js';
import { SnapshotReader } from '../index/snapshot-reader.js';
import type { SnapshotRows } from '../model.js';
import { edgeCost, shortestPaths } from './find-paths.js';
import { personalisedPageRank } from './page-rank.js';

const NODES = 7;
const CHUNKS = 4;
const nodeId = (index: number) => `n${index}`;
const chunkId = (index: number) => `c${index}`;
const readerOf = (snapshot: GraphSnapshot) => new SnapshotReader(snapshot, 1);

const graph: fc.Arbitrary<SnapshotRows> = fc
  .record({
    edges: fc.array(
      fc.record({
        source: fc.nat(NODES - 1),
        target: fc.nat(NODES - 1),
        type: fc.constantFrom('is_a', 'part_of', 'related_to'),
        confidence: fc.constantFrom(0.3, 0.6, 0.9, 1),
      }),
      { maxLength: 14 },
    ),
    mentions: fc.array(
      fc.record({
        node: fc.nat(NODES - 1),
        chunk: fc.nat(CHUNKS - 1),
        count: fc.integer({ min: 1, max: 4 }),
      }),
      {
        maxLength: 14,
      },
    ),
  })
  .map(({ edges, mentions }) => ({
    nodes: Array.from({ length: NODES }, (_, index) => ({
      id: nodeId(index),
      key: `name ${index}`,
      name: `Name ${index}`,
      type: 'concept' as const,
      aliasKeys: [],
      aliases: [],
    })),
    chunks: Array.from({ length: CHUNKS }, (_, index) => ({
      id: chunkId(index),
      documentId: `d${index}`,
      documentTitle: `Title ${index}`,
      ordinal: 0,
      headings: [],
      text: `Text ${index}.`,
      tokens: 3,
    })),
    edges: edges.map(({ source, target, type, confidence }, index) => ({
      id: `e${String(index).padStart(3, '0')}`,
      sourceId: nodeId(source),
      targetId: nodeId(target),
      type,
      weight: 1,
      confidence,
    })),
    mentions: mentions.map(({ node, chunk, count }) => ({
      nodeId: nodeId(node),
      chunkId: chunkId(chunk),
      count,
    })),
    evidence: [],
  }));

/** Power iteration on the dense transition matrix. */
function densePageRank(
  snapshot: GraphSnapshot,
  seeds: ReadonlyMap<number, number>,
  damping: number,
): number[] {
  const size = snapshot.columns.walk.vertexCount;
  const { offsets, columns, probabilities } = snapshot.columns.walk;
  const total = [...seeds.values()].reduce((sum, weight) => sum + weight, 0);
  const matrix = Array.from({ length: size }, (_, row) => {
    const line = new Array<number>(size).fill(0);
    for (let at = offsets[row]!; at < offsets[row + 1]!; at += 1) line[columns[at]!]! += probabilities[at]!;
    if (offsets[row] === offsets[row + 1]) line[row] = 1;
    return line;
  });
  const seed = Array.from({ length: size }, (_, vertex) => (seeds.get(vertex) ?? 0) / total);
  let rank = seed;
  for (let round = 0; round < 200; round += 1) {
    rank = rank.map((_, vertex) => {
      let inflow = 0;
      for (let from = 0; from < size; from += 1) inflow += rank[from]! * matrix[from]![vertex]!;
      return (1 - damping) * seed[vertex]! + damping * inflow;
    });
  }
  return rank;
}

/** Costs of all simple paths of at most `maxHops`, cheapest first. */
function allPathCosts(snapshot: GraphSnapshot, from: number, to: number, maxHops: number): number[] {
  const costs: number[] = [];
  const { source, target } = snapshot.columns.edges;
  const walk = (node: number, visited: readonly number[], cost: number) => {
    if (node === to) {
      costs.push(cost);
      return;
    }
    if (visited.length > maxHops) return;
    for (let edge = 0; edge < source.length; edge += 1) {
      if (source[edge] !== node && target[edge] !== node) continue;
      const next = source[edge] === node ? target[edge]! : source[edge]!;
      if (visited.includes(next)) continue;
      walk(next, [...visited, next], cost + edgeCost(readerOf(snapshot), edge, next, to));
    }
  };
  walk(from, [from], 0);
  return costs.sort((left, right) => left - right);
}

describe('personalisedPageRank', () => {
  it('equals power iteration on the dense matrix, and its ranks add up to 1', async () => {
    await fc.assert(
      fc.asyncProperty(
        graph,
        fc.array(fc.tuple(fc.nat(NODES + CHUNKS - 1), fc.integer({ min: 1, max: 5 })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.constantFrom(0.5, 0.75),
        async (rows, seedList, damping) => {
          const snapshot = buildSnapshot(rows);
          const seeds = new Map(seedList);
          const ranks = await personalisedPageRank(readerOf(snapshot), seeds, {
            damping,
            rounds: 100,
            tolerance: 0,
          });
          densePageRank(snapshot, seeds, damping).forEach((expected, vertex) => {
            expect(ranks.of(vertex)).toBeCloseTo(expected, 5);
          });
          expect(ranks.vertices.reduce((sum, vertex) => sum + ranks.of(vertex), 0)).toBeCloseTo(1, 5);
          expect(new Set(ranks.vertices).size).toBe(ranks.vertices.length);
        },
      ),
    );
  });

  it('is zero everywhere without seeds', async () => {
    await fc.assert(
      fc.asyncProperty(graph, async (rows) => {
        const reader = readerOf(buildSnapshot(rows));
        expect((await personalisedPageRank(reader, new Map())).vertices).toEqual([]);
      }),
    );
  });
});

describe('shortestPaths', () => {
  it('finds the cheapest simple paths that brute force finds, in their order', async () => {
    await fc.assert(
      fc.asyncProperty(
        graph,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        async (rows, count, maxHops) => {
          const snapshot = buildSnapshot(rows);
          const found = await shortestPaths(readerOf(snapshot), 0, 1, { count, maxHops });
          const expected = allPathCosts(snapshot, 0, 1, maxHops).slice(0, count);
          expect(found).toHaveLength(expected.length);
          found.forEach((path, index) => {
            expect(path.cost).toBeCloseTo(expected[index]!, 6);
            expect(new Set(path.nodes).size).toBe(path.nodes.length);
            expect(path.edges.length).toBeLessThanOrEqual(maxHops);
          });
        },
      ),
    );
  });

  it('walks only through the nodes it is given', async () => {
    await fc.assert(
      fc.asyncProperty(graph, async (rows) => {
        const within = new Set([2, 3]);
        for (const path of await shortestPaths(readerOf(buildSnapshot(rows)), 0, 1, {
          count: 3,
          within,
        })) {
          expect(path.nodes.slice(1, -1).every((node) => within.has(node))).toBe(true);
        }
      }),
    );
  });
});
