import type { EmbeddingModel, EmbedRequest } from '@sparkle/llm';
import { contentTerms } from '../text.js';

/** Embeds a text as its hashed words: texts that share words are near each other. Deterministic. */
export class BagOfWordsEmbeddingModel implements EmbeddingModel {
  readonly id = 'bag-of-words';
  readonly maxInputTokens = 8_192;
  /** Set to make every call fail with it. */
  failure: unknown;

  constructor(readonly dimensions = 512) {}

  async embed({ texts }: EmbedRequest): Promise<Float32Array[]> {
    if (this.failure !== undefined) throw this.failure;
    return texts.map((text) => {
      const vector = new Float32Array(this.dimensions);
      vector[0] = 0.01;
      for (const term of contentTerms(text, 200)) vector[hash(term) % this.dimensions]! += 1;
      const length = Math.hypot(...vector);
      return vector.map((value) => value / length);
    });
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
