import { describe, expect, it } from 'vitest';
import { type LearnableNode, type PrerequisiteEdge, planLearningPath } from './learning-path.js';

function graphOf(nodes: Record<string, Partial<LearnableNode>>, edges: readonly PrerequisiteEdge[]) {
  return {
    nodes: new Map(
      Object.entries(nodes).map(([id, node]): [string, LearnableNode] => [
        id,
        { id, name: id.toUpperCase(), resources: [], ...node },
      ]),
    ),
    edges,
  };
}

const edge = (sourceId: string, targetId: string, confidence = 1, more: Partial<PrerequisiteEdge> = {}) => ({
  sourceId,
  targetId,
  confidence,
  ...more,
});
const order = (path: ReturnType<typeof planLearningPath>) => path.steps.map((step) => step.nodeId);

describe('planning a learning path', () => {
  it('takes the easier, then the shorter of two steps first', () => {
    const graph = graphOf(
      { a: { difficulty: 3 }, b: { difficulty: 1 }, c: { difficulty: 1, hours: 0.5 }, t: {} },
      [edge('a', 't'), edge('b', 't'), edge('c', 't')],
    );
    expect(order(planLearningPath(graph, 't', new Set()))).toEqual(['c', 'b', 'a', 't']);
  });

  it('says for each step which later step needs it, and why', () => {
    const graph = graphOf({ a: {}, b: {}, t: {} }, [
      edge('a', 'b', 0.9, { reason: 'B builds on A' }),
      edge('b', 't'),
      edge('a', 't', 0.85),
    ]);
    expect(planLearningPath(graph, 't', new Set()).steps[0]).toMatchObject({
      position: 1,
      nodeId: 'a',
      neededFor: [
        { forId: 'b', forName: 'B', confidence: 0.9, reason: 'B builds on A' },
        { forId: 't', confidence: 0.85 },
      ],
    });
  });

  it('stops at what is mastered, together with everything only that needs', () => {
    const graph = graphOf({ a: {}, b: {}, c: {}, t: {} }, [edge('a', 'b'), edge('b', 't'), edge('c', 't')]);
    const path = planLearningPath(graph, 't', new Set(['b']));
    expect(order(path)).toEqual(['c', 't']);
    expect(path.alreadyMastered).toEqual([{ id: 'b', name: 'B' }]);
  });

  it('is empty for a target that is mastered', () => {
    const path = planLearningPath(graphOf({ a: {}, t: {} }, [edge('a', 't')]), 't', new Set(['t']));
    expect(path.steps).toEqual([]);
    expect(path.alreadyMastered).toEqual([{ id: 't', name: 'T' }]);
  });

  it('ignores prerequisites below the confidence', () => {
    const graph = graphOf({ a: {}, b: {}, t: {} }, [edge('a', 't', 0.79), edge('b', 't', 0.8)]);
    expect(order(planLearningPath(graph, 't', new Set()))).toEqual(['b', 't']);
    expect(order(planLearningPath(graph, 't', new Set(), { minConfidence: 0.5 }))).toEqual(['a', 'b', 't']);
  });

  it('breaks a cycle at its weakest edge and reports it', () => {
    const graph = graphOf({ a: {}, b: {}, t: {} }, [
      edge('a', 'b', 0.95),
      edge('b', 'a', 0.82),
      edge('b', 't', 0.9),
    ]);
    const path = planLearningPath(graph, 't', new Set());
    expect(order(path)).toEqual(['a', 'b', 't']);
    expect(path.brokenEdges).toEqual([
      { sourceId: 'b', source: 'B', targetId: 'a', target: 'A', confidence: 0.82 },
    ]);
  });

  it('takes the cheaper of two ways and names the other with what it would cost more', () => {
    const ways = { alternativeGroup: 'way' };
    const graph = graphOf({ a: { hours: 1 }, long: { hours: 5 }, b: { hours: 2 }, t: { hours: 1 } }, [
      edge('long', 'a'),
      edge('a', 't', 1, ways),
      edge('b', 't', 1, ways),
    ]);
    const path = planLearningPath(graph, 't', new Set());
    expect(order(path)).toEqual(['b', 't']);
    expect(path.alternatives).toEqual([
      {
        forId: 't',
        forName: 'T',
        group: 'way',
        chosen: { id: 'b', name: 'B' },
        others: [{ id: 'a', name: 'A', extraHours: 4 }],
      },
    ]);
    const mastered = planLearningPath(graph, 't', new Set(['a']));
    expect(order(mastered)).toEqual(['t']);
    expect(mastered.alternatives).toEqual([]);
  });

  it('adds up hours and says how many are unknown', () => {
    const graph = graphOf({ a: { hours: 2.5, difficulty: 4 }, b: {}, t: { hours: 1, difficulty: 2 } }, [
      edge('a', 't'),
      edge('b', 't'),
    ]);
    expect(planLearningPath(graph, 't', new Set()).totals).toEqual({
      steps: 3,
      hours: 3.5,
      unknownHours: 1,
      difficulty: 4,
    });
  });

  it('copes with a chain of thousands of prerequisites and with many choices', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `n${i}`);
    const chain = graphOf(
      Object.fromEntries(names.map((name) => [name, {}])),
      names.slice(1).map((name, i) => edge(name, names[i]!)),
    );
    expect(planLearningPath(chain, 'n0', new Set()).steps).toHaveLength(5000);

    const choices = Array.from({ length: 30 }, (_, i) => i);
    const many = graphOf(
      Object.fromEntries(
        ['t', ...choices.flatMap((i) => [`a${i}`, `b${i}`])].map((id) => [
          id,
          { hours: id.startsWith('b') ? 2 : 1 },
        ]),
      ),
      choices.flatMap((i) => [
        edge(`a${i}`, 't', 1, { alternativeGroup: `g${i}` }),
        edge(`b${i}`, 't', 1, { alternativeGroup: `g${i}` }),
      ]),
    );
    const path = planLearningPath(many, 't', new Set());
    expect(path.steps).toHaveLength(31);
    expect(path.totals.hours).toBe(31);
    expect(path.alternatives).toHaveLength(30);
  });
});
