import { parseTenantId } from '@sparkle/contracts';
import { SeededRandom, TestClock } from '@sparkle/contracts/testing';
import { type ChatModel, type ChatRequest, UNSUPPORTED_ANSWER } from '@sparkle/llm';
import { describe, expect, it } from 'vitest';
import { composeAnswer } from '../answer/compose-answer.js';
import { runRetrievalEval } from '../eval/run-retrieval-eval.js';
import { normaliseEntityName } from '../extract/entity-name.js';
import { extractByRules } from '../extract/rule-based-extractor.js';
import { buildSnapshot, snapshotRows } from '../index/graph-snapshot.js';
import { SnapshotReader } from '../index/snapshot-reader.js';
import type { RetrievalResult, SnapshotEdge, SnapshotNode, SnapshotRows } from '../model.js';
import { buildContext } from './build-context.js';
import { findPaths } from './find-paths.js';
import { retrieveGraph } from './retrieve-graph.js';
import { retrievePlain } from './retrieve-plain.js';
import { pathNaming, verbalisePath } from './verbalise-path.js';

const CORPUS = [
  ['Free Guy', 'Free Guy is a 2021 comedy film directed by Shawn Levy. It stars Ryan Reynolds.'],
  ['Shawn Levy', 'Shawn Levy is a Canadian filmmaker. He was born in Montreal in 1968.'],
  ['Montreal', 'Montreal is the largest city of Quebec. It lies on an island.'],
  ['Comedy', 'A comedy film makes people laugh. Many a director of comedy was born far away.'],
  ['City life', 'In which city one was born matters little to a film director.'],
  ['Gradient descent', 'Gradient descent is an optimisation algorithm. It requires calculus.'],
  ['Photosynthesis', 'Plants make sugar out of light and water.'],
] as const;

const tenantId = parseTenantId('acme');
const countTokens = (text: string) =>
  text.match(/[\p{Script=Latin}]+|\d+|[^\s\p{Script=Latin}\d]/gu)?.length ?? 0;
const dependencies = { vectors: { search: async () => [] }, clock: new TestClock() };

function rowsOf(corpus: readonly (readonly [string, string])[], firstId = 0): SnapshotRows {
  const nodes = new Map<string, SnapshotNode>();
  const edges = new Map<string, SnapshotEdge>();
  const rows = { chunks: [], mentions: [], evidence: [] } as {
    chunks: SnapshotRows['chunks'][number][];
    mentions: SnapshotRows['mentions'][number][];
    evidence: SnapshotRows['evidence'][number][];
  };
  corpus.forEach(([documentTitle, text], index) => {
    const chunk = `c${firstId + index}`;
    const base = { documentTitle, headings: [], text };
    rows.chunks.push({
      ...base,
      id: chunk,
      documentId: `d${firstId + index}`,
      ordinal: 0,
      tokens: countTokens(text),
    });
    const extraction = extractByRules(base);
    for (const { name, type, aliases, mentions } of extraction.entities) {
      const key = normaliseEntityName(name);
      nodes.set(key, { id: key, key, name, type, aliases, aliasKeys: aliases.map(normaliseEntityName) });
      rows.mentions.push({ nodeId: key, chunkId: chunk, count: mentions ?? 1 });
    }
    for (const { source, target, type, statement, confidence } of extraction.relations) {
      const [sourceId, targetId] = [normaliseEntityName(source), normaliseEntityName(target)];
      const id = `${sourceId}|${type}|${targetId}`;
      edges.set(id, { id, sourceId, targetId, type, weight: 1, confidence });
      rows.evidence.push({ edgeId: id, chunkId: chunk, statement });
    }
  });
  return { nodes: [...nodes.values()], edges: [...edges.values()], ...rows };
}

const reader = new SnapshotReader(buildSnapshot(rowsOf(CORPUS)), 1);
const QUESTION = 'In which city was the director of Free Guy born?';

function modelSaying(text: string, requests: ChatRequest[] = []): ChatModel {
  const usage = { inputTokens: 1, outputTokens: 1, costUsd: 0 };
  return {
    id: 'scripted',
    local: true,
    countTokens,
    async generate(request) {
      requests.push(request);
      return { text, toolCalls: [], usage, finishReason: 'stop', model: 'scripted' };
    },
    stream() {
      throw new Error('composeAnswer does not stream');
    },
  };
}

describe('retrieveGraph', () => {
  it('ranks the passages along the chain above those that only share words, where plain does not', async () => {
    const order = ({ chunks }: RetrievalResult) => chunks.map((chunk) => chunk.documentTitle);
    const graph = order(await retrieveGraph(reader, { question: QUESTION }, dependencies));
    const plain = order(await retrievePlain(reader, { question: QUESTION }, dependencies));
    expect(graph.indexOf('Shawn Levy')).toBeLessThan(graph.indexOf('Comedy'));
    expect(graph.indexOf('Montreal')).toBeLessThan(graph.indexOf('Comedy'));
    expect(plain.indexOf('Shawn Levy')).toBeGreaterThan(plain.indexOf('Comedy'));
    expect(plain.indexOf('Montreal')).toBeGreaterThan(plain.indexOf('Comedy'));
  });

  it('links the entities of the question and connects them with stated relations', async () => {
    const result = await retrieveGraph(
      reader,
      { question: 'How is Free Guy connected to Montreal?' },
      dependencies,
    );
    expect(result.linked.map(({ name }) => name).sort()).toEqual(['Free Guy', 'Montreal']);
    const path = result.paths[0]!;
    expect(verbalisePath(path, 'en')).toBe('Free Guy —[directed_by]→ Shawn Levy —[born_in]→ Montreal');
    expect(path.steps[1]).toMatchObject({ chunkId: 'c1', statement: 'He was born in Montreal in 1968.' });
  });

  it('falls back to plain retrieval when nothing of the question is in the graph', async () => {
    const query = { question: 'zzz qqq', vector: new Float32Array(2) };
    const vectors = { search: async () => [{ chunkId: 'c6', similarity: 0.4 }] };
    const result = await retrieveGraph(reader, query, { ...dependencies, vectors });
    expect(result).toMatchObject({ strategy: 'plain', paths: [], linked: [] });
    expect(result.chunks.map((chunk) => chunk.documentTitle)).toEqual(['Photosynthesis']);
  });

  it('gives nothing for an empty graph', async () => {
    const rows = { nodes: [], edges: [], chunks: [], mentions: [], evidence: [] };
    const empty = new SnapshotReader(buildSnapshot(rows), 0);
    expect((await retrieveGraph(empty, { question: QUESTION }, dependencies)).chunks).toEqual([]);
  });
});

describe('snapshots', () => {
  it('hold the rows they were built from, in whatever order those came', () => {
    const rows = rowsOf(CORPUS);
    const reversed = {
      nodes: rows.nodes.toReversed(),
      edges: rows.edges.toReversed(),
      chunks: rows.chunks.toReversed(),
      mentions: rows.mentions.toReversed(),
      evidence: rows.evidence.toReversed(),
    };
    const held = snapshotRows(buildSnapshot(rows));
    expect(snapshotRows(buildSnapshot(reversed))).toEqual(held);
    expect(new Set(held.nodes)).toEqual(new Set(rows.nodes));
    expect(new Set(held.chunks)).toEqual(new Set(rows.chunks));
    expect(held.edges).toHaveLength(new Set(rows.edges.map(({ id }) => id)).size);
  });

  it('leave out rows that refer to something absent', () => {
    const rows = rowsOf(CORPUS);
    const torn = buildSnapshot({ ...rows, chunks: rows.chunks.slice(1), nodes: rows.nodes.slice(1) });
    expect(torn.chunks).toHaveLength(CORPUS.length - 1);
    expect(torn.bytes).toBeGreaterThan(0);
  });
});

describe('findPaths', () => {
  it('walks edges against their direction and says so', async () => {
    const [path] = await findPaths(reader, 'montreal', 'free guy');
    expect(verbalisePath(path!, 'zh')).toBe('Montreal ←[出生于]— Shawn Levy ←[导演是]— Free Guy');
    expect(path!.steps.every(({ reversed }) => reversed)).toBe(true);
  });

  it('calls nodes by their Chinese alias in Chinese', async () => {
    const node = {
      id: 'n',
      key: 'entropy',
      name: 'Entropy',
      type: 'concept' as const,
      aliases: ['熵'],
      aliasKeys: ['熵'],
    };
    const rows = { nodes: [node], edges: [], chunks: [], mentions: [], evidence: [] };
    const path = { nodes: [{ id: 'n', name: 'Entropy' }], steps: [], score: 1 };
    const naming = await pathNaming(new SnapshotReader(buildSnapshot(rows), 1), [path], 'zh');
    expect(naming('n', 'Entropy')).toBe('熵');
  });

  it('finds nothing for unknown nodes', async () => {
    expect(await findPaths(reader, 'nobody', 'free guy')).toEqual([]);
  });
});

describe('buildContext', () => {
  it.each([0, 20, 50, 90, 150, 2000])('stays within %i tokens', async (tokenBudget) => {
    const result = await retrieveGraph(reader, { question: QUESTION }, dependencies);
    const context = buildContext(result, { question: QUESTION, countTokens, tokenBudget });
    const counted = context.passages.reduce(
      (sum, { title, text }) => sum + countTokens(title ?? '') + countTokens(text),
      0,
    );
    expect(context.tokens).toBe(counted);
    expect(counted).toBeLessThanOrEqual(tokenBudget);
  });

  it('keeps headings on lines of their own where a passage is cut', () => {
    const text = `## Random forest\n\nA random forest averages trees. ${'Filler words stand here. '.repeat(40)}`;
    const chunk = {
      chunkId: 'c',
      documentId: 'd',
      documentTitle: 'Trees',
      headings: [],
      text,
      tokens: countTokens(text),
      score: 1,
    };
    const result = {
      strategy: 'plain',
      route: 'fact',
      chunks: [chunk],
      paths: [],
      linked: [],
      durationMs: 0,
    } as const;
    const question = 'What is a random forest?';
    const { passages } = buildContext(result, { question, countTokens, tokenBudget: 60 });
    expect(passages[0]!.text).toMatch(/^## Random forest\n\nA random forest averages trees\./);
  });

  it('gives paths before chunks, maps every marker to its source and repeats no passage', async () => {
    const result = await retrieveGraph(reader, { question: QUESTION }, dependencies);
    const doubled: RetrievalResult = {
      ...result,
      paths: [...result.paths, ...result.paths],
      chunks: [...result.chunks, ...result.chunks],
    };
    const { passages, sources } = buildContext(doubled, { question: QUESTION, countTokens });
    const kinds = passages.map(({ kind }) => kind);
    expect(kinds.lastIndexOf('path')).toBeLessThan(kinds.indexOf('chunk'));
    expect(new Set(passages.map(({ text }) => text)).size).toBe(passages.length);
    for (const { id, kind } of passages) expect(sources.get(id)?.kind).toBe(kind);
  });
});

describe('composeAnswer', () => {
  const contextOf = async (question: string) => {
    const result = await retrieveGraph(reader, { question }, dependencies);
    return buildContext(result, { question, countTokens });
  };

  it('cites the chunk behind a marker with the sentence that supports the answer', async () => {
    const context = await contextOf(QUESTION);
    const marker = [...context.sources].find(
      ([, source]) => source.kind === 'chunk' && source.chunk.chunkId === 'c1',
    )![0];
    const answer = await composeAnswer(
      { tenantId, question: QUESTION, context },
      modelSaying(`In Montreal [${marker}].`),
    );
    expect(answer).toMatchObject({ text: `In Montreal [${marker}].`, supported: true });
    expect(answer.citations).toEqual([
      {
        marker,
        chunkId: 'c1',
        documentId: 'd1',
        documentTitle: 'Shawn Levy',
        quote: 'He was born in Montreal in 1968.',
      },
    ]);
  });

  it('expands a path marker to the chunks that state its steps', async () => {
    const question = 'How is Free Guy connected to Montreal?';
    const context = await contextOf(question);
    const answer = await composeAnswer(
      { tenantId, question, context },
      modelSaying('Through Shawn Levy [P1].'),
    );
    expect(answer.citations.map(({ chunkId }) => chunkId)).toEqual(['c0', 'c1']);
  });

  it('removes markers of passages that were not given', async () => {
    const context = await contextOf(QUESTION);
    const answer = await composeAnswer(
      { tenantId, question: QUESTION, context },
      modelSaying('Montreal [C1, C99] [C98].'),
    );
    expect(answer.text).toBe('Montreal [C1].');
  });

  it.each([
    ['without a citation', 'It was Paris.'],
    ['with invented citations only', 'It was Paris [C99].'],
    ['that says that it does not know', UNSUPPORTED_ANSWER.en],
  ])('says that it does not know instead of an answer %s', async (_, text) => {
    const answer = await composeAnswer(
      { tenantId, question: QUESTION, context: await contextOf(QUESTION) },
      modelSaying(text),
    );
    expect(answer).toMatchObject({ text: UNSUPPORTED_ANSWER.en, citations: [], supported: false });
  });

  it('does not call the model without any context', async () => {
    const requests: ChatRequest[] = [];
    const context = { passages: [], sources: new Map(), tokens: 0 };
    const answer = await composeAnswer(
      { tenantId, question: '什么是熵？', context },
      modelSaying('x', requests),
    );
    expect(answer).toMatchObject({ text: UNSUPPORTED_ANSWER.zh, supported: false });
    expect(requests).toEqual([]);
  });
});

describe('runRetrievalEval', () => {
  it('yields every metric for both systems over the same questions', async () => {
    const corpus = CORPUS.map(([title, text], index) => ({ id: String(index), title, text }));
    const { rows, gain } = await runRetrievalEval({
      data: 'tiny',
      corpus,
      questions: [
        { id: 'q', question: QUESTION, answer: 'Montreal', aliases: [], type: 'bridge', gold: ['0', '1'] },
      ],
      ingest: async (passages) => new Map(passages.map(({ id }) => [id, `d${id}`])),
      retrieve: {
        plain: (question, limit) => retrievePlain(reader, { question, limit }, dependencies),
        graph: (question, limit) => retrieveGraph(reader, { question, limit }, dependencies),
      },
      context: (question, result) => {
        const { tokens, sources } = buildContext(result, { question, countTokens });
        const given = [...sources.values()].flatMap((source) =>
          source.kind === 'chunk' ? source.chunk : [],
        );
        return { tokens, documentIds: new Set(given.map(({ documentId }) => documentId)) };
      },
      random: new SeededRandom(1),
    });
    const scores = ['recall@2', 'recall@5', 'recall@10', 'gold_in_budget'];
    const metrics = [...scores, 'p50_ms', 'p95_ms', 'tokens'];
    expect(rows.map(({ system, metric }) => `${system} ${metric}`)).toEqual([
      ...['plain', 'graph'].flatMap((system) => metrics.map((metric) => `${system} ${metric}`)),
      ...scores.map((metric) => `graph-plain ${metric}`),
    ]);
    expect(rows.find(({ system, metric }) => system === 'graph' && metric === 'recall@5')).toEqual({
      data: 'tiny',
      system: 'graph',
      metric: 'recall@5',
      value: 100,
      n: 1,
    });
    expect(Object.keys(gain)).toEqual(scores);
  });
});
