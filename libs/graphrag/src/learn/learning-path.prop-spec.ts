import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type LearnableNode,
  type PrerequisiteEdge,
  type PrerequisiteGraph,
  planLearningPath,
} from './learning-path.js';

const SIZE = 7;
const ids = Array.from({ length: SIZE }, (_, i) => `n${i}`);

const edgeArbitrary = fc.record({
  sourceId: fc.constantFrom(...ids),
  targetId: fc.constantFrom(...ids),
  confidence: fc.constantFrom(0.5, 0.8, 0.85, 0.9, 1),
  alternativeGroup: fc.option(fc.constantFrom('a', 'b'), { nil: undefined, freq: 2 }),
});

/** With `acyclic`, edges lead from higher to lower numbers only. */
const graphArbitrary = (acyclic: boolean) =>
  fc
    .record({
      hours: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: SIZE, maxLength: SIZE }),
      difficulty: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: SIZE, maxLength: SIZE }),
      edges: fc.uniqueArray(edgeArbitrary, {
        maxLength: 14,
        selector: (edge) => `${edge.sourceId} ${edge.targetId}`,
      }),
      mastered: fc.subarray(ids, { maxLength: 3 }),
    })
    .map(({ hours, difficulty, edges, mastered }) => ({
      graph: {
        nodes: new Map(
          ids.map((id, i): [string, LearnableNode] => [
            id,
            { id, name: `Node ${id}`, hours: hours[i], difficulty: difficulty[i], resources: [] },
          ]),
        ),
        edges: acyclic ? edges.filter((edge) => edge.sourceId > edge.targetId) : edges,
      } satisfies PrerequisiteGraph,
      mastered: new Set(mastered),
    }));

const strong = (graph: PrerequisiteGraph) =>
  graph.edges.filter((edge) => edge.confidence >= 0.8 && edge.sourceId !== edge.targetId);

/** True when `learned` plus `mastered` satisfies every requirement of `id` under `edges`. */
function satisfied(id: string, known: ReadonlySet<string>, edges: readonly PrerequisiteEdge[]): boolean {
  const incoming = edges.filter((edge) => edge.targetId === id);
  const groups = new Map<string, PrerequisiteEdge[]>();
  for (const edge of incoming) {
    const key = edge.alternativeGroup ?? `single ${edge.sourceId}`;
    groups.set(key, [...(groups.get(key) ?? []), edge]);
  }
  return [...groups.values()].every((group) => group.some((edge) => known.has(edge.sourceId)));
}

/** Fewest hours of any set of concepts that holds the target and is closed under requirements. */
function bruteForceHours(graph: PrerequisiteGraph, mastered: ReadonlySet<string>, target: string): number {
  const edges = strong(graph);
  const free = ids.filter((id) => !mastered.has(id) && id !== target);
  let best = Number.POSITIVE_INFINITY;
  for (let mask = 0; mask < 1 << free.length; mask += 1) {
    const chosen = [target, ...free.filter((_, i) => mask & (1 << i))];
    const known = new Set([...chosen, ...mastered]);
    if (!chosen.every((id) => satisfied(id, known, edges))) continue;
    best = Math.min(
      best,
      chosen.reduce((sum, id) => sum + graph.nodes.get(id)!.hours!, 0),
    );
  }
  return best;
}

describe('a learning path', () => {
  it('has every prerequisite before what needs it, leaves none out, and costs as little as possible', () => {
    fc.assert(
      fc.property(graphArbitrary(true), ({ graph, mastered }) => {
        mastered.delete('n0');
        const path = planLearningPath(graph, 'n0', mastered);
        const edges = strong(graph);
        const known = new Set(mastered);
        for (const step of path.steps) {
          expect(satisfied(step.nodeId, known, edges)).toBe(true);
          expect(known.has(step.nodeId)).toBe(false);
          known.add(step.nodeId);
        }
        expect(path.steps.at(-1)!.nodeId).toBe('n0');
        expect(path.brokenEdges).toEqual([]);
        expect(path.totals.hours).toBe(bruteForceHours(graph, mastered, 'n0'));
        for (const step of path.steps.slice(0, -1)) expect(step.neededFor.length).toBeGreaterThan(0);
        for (const { others } of path.alternatives)
          for (const other of others) expect(other.extraHours).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 400 },
    );
  });

  it('breaks every cycle at an edge that is the weakest of a cycle, and orders the rest', () => {
    fc.assert(
      fc.property(graphArbitrary(false), ({ graph, mastered }) => {
        mastered.delete('n0');
        const path = planLearningPath(graph, 'n0', mastered);
        const position = new Map(path.steps.map((step) => [step.nodeId, step.position]));
        for (const step of path.steps)
          for (const reason of step.neededFor)
            expect(position.get(reason.forId)!).toBeGreaterThan(step.position);
        for (const broken of path.brokenEdges) {
          const cycle = weakestCycleThrough(strong(graph), broken.sourceId, broken.targetId);
          expect(cycle).toBeDefined();
          expect(broken.confidence).toBeLessThanOrEqual(cycle!);
        }
        if (path.brokenEdges.length === 0) {
          const known = new Set(mastered);
          for (const step of path.steps) {
            expect(satisfied(step.nodeId, known, strong(graph))).toBe(true);
            known.add(step.nodeId);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it('is the same whatever the order of the edges', () => {
    fc.assert(
      fc.property(graphArbitrary(false), fc.infiniteStream(fc.nat()), ({ graph, mastered }, numbers) => {
        const keyed = graph.edges.map((edge) => ({ edge, at: numbers.next().value as number }));
        const shuffled = keyed.sort((a, b) => a.at - b.at).map(({ edge }) => edge);
        expect(planLearningPath({ ...graph, edges: shuffled }, 'n0', mastered)).toEqual(
          planLearningPath(graph, 'n0', mastered),
        );
      }),
      { numRuns: 200 },
    );
  });
});

/** The best bottleneck of a way from `from` back to `to`'s source: how strong the rest of a cycle can be. */
function weakestCycleThrough(
  edges: readonly PrerequisiteEdge[],
  source: string,
  target: string,
): number | undefined {
  const best = new Map([[target, Number.POSITIVE_INFINITY]]);
  for (let round = 0; round < SIZE; round += 1)
    for (const edge of edges) {
      const sofar = best.get(edge.sourceId);
      if (sofar === undefined) continue;
      const through = Math.min(sofar, edge.confidence);
      if (through > (best.get(edge.targetId) ?? 0)) best.set(edge.targetId, through);
    }
  return best.get(source);
}
