import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readAnswerMetadata } from './answer-metadata.js';

it('whatever was stored beside a message can be read, and what is not an answer’s reads as empty', () => {
  const keys = ['replyTo', 'memory', 'retrieval', 'citations', 'paths', 'usage', 'model', 'trace', 'x'];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()), (metadata) => {
      const read = readAnswerMetadata(metadata as Record<string, unknown>);
      expect(read.memory.strategy).toBe('full');
      expect(Array.isArray(read.retrieval.linked)).toBe(true);
      expect(typeof read.usage.inputTokens).toBe('number');
    }),
  );
  expect(readAnswerMetadata({})).toMatchObject({ replyTo: 0, retrieval: { query: '' }, trace: [] });
});
