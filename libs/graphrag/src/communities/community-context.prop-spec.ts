import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SummarisedCommunity } from '../adapters/postgres/community.store.js';
import { buildCommunityContext } from './community-context.js';

const words = ['sailing', 'bread', 'planets', 'graphs', 'music', 'rivers', '梯度', '网络'];
const community = fc.record({
  id: fc.uuid(),
  level: fc.constantFrom(0 as const, 1 as const),
  title: fc.subarray(words, { minLength: 1, maxLength: 3 }).map((names) => names.join(' · ')),
  chunkCount: fc.integer({ min: 1, max: 50 }),
  points: fc.array(
    fc.record({
      text: fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 8 }).map((each) => each.join(' ')),
      chunkIds: fc.uniqueArray(fc.constantFrom('c1', 'c2', 'c3', 'c4', 'c5'), { minLength: 1, maxLength: 3 }),
      verbatim: fc.boolean(),
    }),
    { minLength: 1, maxLength: 5 },
  ),
});
const communities = fc.array(community, { maxLength: 8 }).map((list): SummarisedCommunity[] =>
  list.map((each) => ({
    ...each,
    parentId: null,
    nodeCount: 1,
    documentCount: 1,
    embedding: undefined,
    sourceIds: [...new Set(each.points.flatMap(({ chunkIds }) => chunkIds)), 'c6'],
  })),
);
const countTokens = (text: string) => (text === '' ? 0 : text.split(/\s+/).length);
const documentOf = (chunkId: string) => `d${chunkId}`;

describe('the context of a question about everything', () => {
  it('keeps to its budget, says nothing twice, and names the passages behind every word', () => {
    fc.assert(
      fc.property(
        communities,
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 8 }),
        (list, tokenBudget, k) => {
          const question = 'What are the main themes of bread and 梯度?';
          const context = buildCommunityContext(list, { question, k, tokenBudget, countTokens, documentOf });
          expect(context.tokens).toBeLessThanOrEqual(tokenBudget);
          expect(context.passages.length).toBeLessThanOrEqual(k);
          const texts = [...context.points.values()].flat().map(({ text }) => text);
          expect(new Set(texts).size).toBe(texts.length);
          for (const passage of context.passages) {
            const points = context.points.get(passage.id)!;
            expect(passage.text).toBe(points.map(({ text }) => text).join('\n'));
            for (const name of passage.title?.split(' · ') ?? []) expect(passage.text).toContain(name);
            for (const { chunkIds } of points)
              expect(context.chunkIds).toEqual(expect.arrayContaining([...chunkIds]));
          }
        },
      ),
    );
  });

  it('shows nothing that rests on a passage the asker may not read', () => {
    fc.assert(
      fc.property(communities, fc.constantFrom('c1', 'c2', 'c6'), (list, hidden) => {
        const context = buildCommunityContext(list, {
          question: 'What is this about?',
          k: 8,
          tokenBudget: 1000,
          countTokens,
          documentOf,
          mayRead: (chunkId) => chunkId !== hidden,
        });
        expect(context.chunkIds).not.toContain(hidden);
        for (const point of [...context.points.values()].flat()) {
          const from = list.find(({ points }) => points.includes(point))!;
          expect(point.verbatim || !from.sourceIds.includes(hidden)).toBe(true);
        }
      }),
    );
  });

  it('hears of every community before it hears more of one', () => {
    const list = ['bread', 'music', 'rivers'].map(
      (name, index): SummarisedCommunity => ({
        id: name,
        level: 0,
        parentId: null,
        title: name,
        nodeCount: 5,
        chunkCount: 10 - index,
        documentCount: 2,
        embedding: undefined,
        sourceIds: [],
        points: [1, 2, 3].map((number) => ({
          text: `${name} point ${number}`,
          chunkIds: [`${name}${number}`],
          verbatim: true,
        })),
      }),
    );
    const context = buildCommunityContext(list, {
      question: 'What are the main themes?',
      k: 5,
      tokenBudget: 15,
      countTokens,
      documentOf,
    });
    expect(context.passages.map(({ text }) => text)).toEqual([
      'bread point 1',
      'music point 1',
      'rivers point 1',
    ]);
  });
});
