import { parseTenantId } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import type { EntityType } from '../model.js';
import { type DocumentExtraction, type ExistingNames, resolveEntities } from './resolve-entities.js';

const tenantId = parseTenantId('t');
const entity = (name: string, aliases: string[] = [], type: EntityType = 'term') => ({
  name,
  type,
  aliases,
  confidence: 1,
});
const NOTHING: ExistingNames = { nodes: [], aliases: [] };

/** One passage per list of entities. */
const documentOf = (documentId: string, ...chunks: ReturnType<typeof entity>[][]): DocumentExtraction => ({
  documentId,
  chunks: chunks.map((entities, i) => ({ chunkId: `${documentId}-${i}`, entities, relations: [] })),
});
const keysOf = (graph: ReturnType<typeof resolveEntities>) => graph.newNodes.map((node) => node.key).sort();

describe('entity resolution', () => {
  it('joins what has one normal form', () => {
    const graph = resolveEntities(
      tenantId,
      [documentOf('d', [entity('The Perceptron')], [entity('perceptron')])],
      NOTHING,
    );
    expect(keysOf(graph)).toEqual(['perceptron']);
    expect(graph.mentions).toHaveLength(2);
  });

  it('joins an acronym with its long form wherever the document explains it', () => {
    const long = entity('Support Vector Machine', ['SVM']);
    for (const chunks of [
      [[long], [entity('SVM')]],
      [[entity('SVM')], [long]],
    ]) {
      const graph = resolveEntities(tenantId, [documentOf('d', ...chunks)], NOTHING);
      expect(keysOf(graph)).toEqual(['support vector machine']);
      expect(graph.newNodes[0]!.name).toBe('Support Vector Machine');
      expect(graph.aliases.map((alias) => alias.aliasKey)).toEqual(['svm']);
    }
  });

  it('joins a long form with the node that an earlier document named by the acronym', () => {
    const existing: ExistingNames = {
      nodes: [{ id: 'n', key: 'svm', name: 'SVM', type: 'term', claimedBy: null }],
      aliases: [],
    };
    const graph = resolveEntities(
      tenantId,
      [documentOf('d', [entity('Support Vector Machine', ['SVM'])])],
      existing,
    );
    expect(graph.newNodes).toEqual([]);
    expect(graph.aliases).toEqual([
      { nodeId: 'n', aliasKey: 'support vector machine', alias: 'Support Vector Machine', documentId: 'd' },
    ]);
  });

  it('follows an alias to its node, but not when several nodes have it', () => {
    const nodes = ['planet', 'element'].map((id) => ({
      id,
      key: `mercury ${id}`,
      name: `Mercury (${id})`,
      type: 'term' as const,
      claimedBy: null,
    }));
    const aliases = nodes.map((node) => ({ aliasKey: 'mercury', nodeId: node.id }));
    const mention = documentOf('d', [entity('Mercury')]);
    expect(
      resolveEntities(tenantId, [mention], { nodes, aliases: aliases.slice(0, 1) }).mentions[0]!.nodeId,
    ).toBe('planet');
    expect(keysOf(resolveEntities(tenantId, [mention], { nodes, aliases }))).toEqual(['mercury']);
  });

  it('keeps two entities apart that merely share an alias', () => {
    const graph = resolveEntities(
      tenantId,
      [documentOf('d', [entity('Barack Obama', ['Obama']), entity('Michelle Obama', ['Obama'])])],
      NOTHING,
    );
    expect(keysOf(graph)).toEqual(['barack obama', 'michelle obama']);
  });

  it('gives a node the same name and type in whatever order documents come', () => {
    const first = documentOf('a', [entity('neural network', [], 'term')]);
    const second = documentOf('b', [entity('Neural Network', [], 'concept')]);
    const forward = resolveEntities(tenantId, [first, second], NOTHING);
    const backward = resolveEntities(tenantId, [second, first], NOTHING);
    expect(forward.newNodes).toEqual(backward.newNodes);
    expect(forward.newNodes[0]).toMatchObject({ name: 'Neural Network', type: 'concept' });
  });

  it('drops relations of an entity with itself and keeps the surest statement of each passage', () => {
    const relation = { source: 'A', target: 'B', type: 'is_a', statement: 'weak', confidence: 0.4 };
    const graph = resolveEntities(
      tenantId,
      [
        {
          documentId: 'd',
          chunks: [
            {
              chunkId: 'c',
              entities: [entity('A'), entity('B')],
              relations: [
                relation,
                { ...relation, statement: 'strong', confidence: 0.9 },
                { ...relation, target: 'a' },
                { ...relation, target: 'Unknown' },
              ],
            },
          ],
        },
      ],
      NOTHING,
    );
    expect(graph.edges).toHaveLength(1);
    expect(graph.evidence).toMatchObject([{ statement: 'strong', confidence: 0.9 }]);
  });
});
