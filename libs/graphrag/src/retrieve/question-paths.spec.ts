import { TestClock } from '@sparkle/contracts/testing';
import { describe, expect, it } from 'vitest';
import { detectLanguage, normaliseEntityName } from '../extract/entity-name.js';
import { extractByRules } from '../extract/rule-based-extractor.js';
import { buildSnapshot, type GraphSnapshot } from '../index/graph-snapshot.js';
import { SnapshotReader } from '../index/snapshot-reader.js';
import type { SnapshotChunk, SnapshotEdge, SnapshotNode, SnapshotRows } from '../model.js';
import { retrieveGraph } from './retrieve-graph.js';
import { pathNaming, verbalisePath } from './verbalise-path.js';

const PAGE = 'Neural networks and their training (神经网络及其训练)';
const OTHER_PAGE = 'What machine learning is (机器学习概论)';
const CONCEPTS = [
  ['Supervised learning', '监督学习'],
  ['Neural network', '神经网络'],
  ['Deep learning', '深度学习'],
  ['Diffusion model', '扩散模型'],
  ['Probability', '概率论'],
  ['Random forest', '随机森林'],
  ['Gradient boosting', '梯度提升'],
  ['Gradient descent', '梯度下降'],
  ['Transformer', '变换器'],
] as const;
const RELATIONS = [
  ['Supervised learning', 'prerequisite_of', 'Neural network', 1],
  ['Neural network', 'prerequisite_of', 'Deep learning', 1],
  ['Deep learning', 'prerequisite_of', 'Diffusion model', 1],
  ['Deep learning', 'prerequisite_of', 'Transformer', 1],
  ['Probability', 'prerequisite_of', 'Diffusion model', 1],
  ['Gradient boosting', 'contrasts_with', 'Random forest', 1],
  ['Gradient descent', 'prerequisite_of', 'Gradient boosting', 1],
  ['Neural network', 'requires', 'Gradient descent', 0.7],
  ['Gradient descent', 'averages', 'Probability', 0.5],
  [PAGE, 'related_to', 'Neural network', 0.3],
  [PAGE, 'related_to', 'Gradient descent', 0.3],
  [OTHER_PAGE, 'related_to', 'Probability', 0.3],
  [OTHER_PAGE, 'related_to', 'Supervised learning', 0.3],
  ['Gradient descent', 'related_to', 'Deep learning', 0.3],
] as const;

function course(): GraphSnapshot {
  const node = (name: string, aliases: readonly string[]): SnapshotNode => ({
    id: normaliseEntityName(name),
    key: normaliseEntityName(name),
    name,
    type: 'concept',
    aliases,
    aliasKeys: aliases.map(normaliseEntityName),
  });
  const chunk = (id: string, documentTitle: string, text: string): SnapshotChunk => ({
    id,
    documentId: documentTitle,
    documentTitle,
    ordinal: 0,
    headings: [],
    text,
    tokens: text.length,
  });
  const nodes = [
    ...CONCEPTS.map(([name, alias]) => node(name, [alias])),
    node(PAGE, []),
    node(OTHER_PAGE, []),
  ];
  const edges = RELATIONS.map(
    ([source, type, target, confidence]): SnapshotEdge => ({
      id: `${source}|${type}|${target}`,
      sourceId: normaliseEntityName(source),
      targetId: normaliseEntityName(target),
      type,
      weight: 1,
      confidence,
    }),
  );
  return buildSnapshot({
    nodes,
    edges,
    chunks: [chunk('c0', PAGE, 'Neural networks are trained.'), chunk('c1', OTHER_PAGE, 'Machines learn.')],
    mentions: nodes.flatMap(({ id }) => [
      { nodeId: id, chunkId: 'c0', count: 1 },
      { nodeId: id, chunkId: 'c1', count: 1 },
    ]),
    evidence: RELATIONS.map(([source, type, target]) => ({
      edgeId: `${source}|${type}|${target}`,
      chunkId: source === OTHER_PAGE ? 'c1' : 'c0',
      statement: `${source} ${type.replaceAll('_', ' ')} ${target}: the boiling point was founded here.`,
    })),
  });
}

function rulesOf(title: string, text: string): SnapshotRows {
  const { entities, relations } = extractByRules({ documentTitle: title, headings: [], text });
  const id = normaliseEntityName;
  const edgeId = (relation: { source: string; type: string; target: string }) =>
    `${id(relation.source)}|${relation.type}|${id(relation.target)}`;
  return {
    nodes: entities.map(({ name, type, aliases }) => ({
      id: id(name),
      key: id(name),
      name,
      type,
      aliases,
      aliasKeys: aliases.map(id),
    })),
    edges: relations.map((relation) => ({
      id: edgeId(relation),
      sourceId: id(relation.source),
      targetId: id(relation.target),
      type: relation.type,
      weight: 1,
      confidence: relation.confidence,
    })),
    chunks: [
      { id: 'c', documentId: 'd', documentTitle: title, ordinal: 0, headings: [], text, tokens: text.length },
    ],
    mentions: entities.map(({ name }) => ({ nodeId: id(name), chunkId: 'c', count: 1 })),
    evidence: relations.map((relation) => ({
      edgeId: edgeId(relation),
      chunkId: 'c',
      statement: relation.statement,
    })),
  };
}

const pathsIn = async (snapshot: GraphSnapshot, question: string) => {
  const dependencies = { vectors: { search: async () => [] }, clock: new TestClock() };
  const reader = new SnapshotReader(snapshot, 1);
  const { paths } = await retrieveGraph(reader, { question }, dependencies);
  const language = detectLanguage(question);
  const naming = await pathNaming(reader, paths, language);
  return paths.map((path) => verbalisePath(path, language, naming));
};
const snapshot = course();
const observatory = buildSnapshot(
  rulesOf(
    'Veldhoven Observatory',
    'The Veldhoven Observatory is a research station in the Netherlands. It was founded in 1931 by Marta Kessler. Marta Kessler was born in Graz. The Orion Refractor was built by Steinmann Optics in 1938. Steinmann Optics is based in Jena.',
  ),
);

describe('paths for a question that names several entities', () => {
  it.each([
    [
      'How does supervised learning relate to deep learning?',
      'Supervised learning —[prerequisite_of]→ Neural network —[prerequisite_of]→ Deep learning',
    ],
    [
      'How does deep learning relate to supervised learning?',
      'Deep learning ←[prerequisite_of]— Neural network ←[prerequisite_of]— Supervised learning',
    ],
    ['监督学习和深度学习是什么关系？', '监督学习 —[先修于]→ 神经网络 —[先修于]→ 深度学习'],
    [
      'How do random forests differ from gradient boosting?',
      'Random forest ←[contrasts_with]— Gradient boosting',
    ],
    ['随机森林和梯度提升有什么区别？', '随机森林 ←[不同于]— 梯度提升'],
  ])('%s begin with %s', async (question, path) => {
    expect((await pathsIn(snapshot, question))[0]).toBe(path);
  });

  it.each(['How does supervised learning relate to deep learning?', '监督学习和深度学习是什么关系？'])(
    '%s connect only those, never titles of pages',
    async (question) => {
      for (const path of await pathsIn(snapshot, question)) {
        expect(path).toMatch(/^(?:Supervised learning|监督学习) .* (?:Deep learning|深度学习)$/);
        expect(path).not.toContain(PAGE);
        expect(path).not.toContain(OTHER_PAGE);
      }
    },
  );

  it('may go to a page that the question names', async () => {
    const question =
      'How does "Neural networks and their training (神经网络及其训练)" relate to neural network?';
    expect((await pathsIn(snapshot, question))[0]).toContain(PAGE);
  });
});

describe('paths for a question that names one entity', () => {
  it('are its strongest stated relations, at most three', async () => {
    const paths = await pathsIn(snapshot, 'What is gradient descent?');
    expect(paths[0]).toBe('Gradient descent —[prerequisite_of]→ Gradient boosting');
    expect(paths.length).toBeLessThanOrEqual(3);
    expect(paths.join()).not.toContain('related_to');
  });

  it.each([
    ['What should I learn before transformers?', 'Transformer ←[prerequisite_of]— Deep learning'],
    ['What does a neural network require?', 'Neural network ←[prerequisite_of]— Supervised learning'],
    ['学习变换器之前需要学什么？', '变换器 ←[先修于]— 深度学习'],
  ])('%s begin with what it asks for: %s', async (question, path) => {
    expect((await pathsIn(snapshot, question))[0]).toBe(path);
  });

  it('say nothing in English in Chinese where there is no word for a relation', async () => {
    const paths = await pathsIn(snapshot, '什么是梯度下降？');
    expect(paths).toContain('梯度下降 —[相关]→ 概率论');
    expect(paths.join('')).not.toMatch(/[a-z]/);
  });

  it.each([
    [
      'Where was the founder of the Veldhoven Observatory born?',
      'Veldhoven Observatory —[founded_by]→ Marta Kessler —[born_in]→ Graz',
    ],
    [
      'In which city is the builder of the Orion Refractor based?',
      'Orion Refractor —[built_by]→ Steinmann Optics —[based_in]→ Jena',
    ],
    ['When was the Orion Refractor built?', 'Orion Refractor —[built_by]→ Steinmann Optics'],
  ])('%s begin with %s', async (question, path) => {
    expect((await pathsIn(observatory, question))[0]).toBe(path);
  });
});

it.each([
  'What is the boiling point of tungsten hexafluoride?',
  'Who founded the Lisbon Observatory?',
  '谁创立了里斯本天文台？',
])('no paths answer %s, which names nothing in the graph', async (question) => {
  expect(await pathsIn(snapshot, question)).toEqual([]);
});
