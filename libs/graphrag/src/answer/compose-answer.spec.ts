import { describe, expect, it } from 'vitest';
import type { RankedChunk } from '../model.js';
import { checkAnswer, citationsFor } from './compose-answer.js';

const chunk: RankedChunk = {
  chunkId: 'c-1',
  documentId: 'd-1',
  documentTitle: 'Optimisation',
  headings: ['Gradient descent'],
  text: '## Gradient descent\n\nGradient descent is an iterative algorithm. Gradient descent requires calculus.',
  tokens: 20,
  score: 1,
};
const request = {
  question: 'What is gradient descent?',
  context: {
    passages: [{ id: 'C1', kind: 'chunk' as const, text: chunk.text }],
    sources: new Map([['C1', { kind: 'chunk' as const, chunk }]]),
    tokens: 20,
  },
};

describe('checkAnswer', () => {
  it('quotes the sentence that the answer took, word for word', () => {
    const { citations } = checkAnswer('Gradient descent is an iterative algorithm. [C1]', request);
    expect(citations).toEqual([
      expect.objectContaining({ quote: 'Gradient descent is an iterative algorithm.' }),
    ]);
  });

  it('quotes the nearest sentence, never a heading, when the answer is in other words', () => {
    const { citations } = checkAnswer('It needs calculus. [C1]', request);
    expect(citations[0]?.quote).toBe('Gradient descent requires calculus.');
  });

  it('drops markers of passages that were not given, and an answer that rests on none of them', () => {
    expect(checkAnswer('It is a metal. [C7]', request)).toMatchObject({ supported: false, citations: [] });
  });
});

describe('citationsFor', () => {
  it('finds the passages behind markers and leaves unknown ones out', () => {
    expect(citationsFor(['C1', 'C9'], request)).toEqual([
      expect.objectContaining({ marker: 'C1', chunkId: 'c-1', documentId: 'd-1' }),
    ]);
  });
});
