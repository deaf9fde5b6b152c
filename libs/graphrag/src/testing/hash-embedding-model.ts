import { createHash } from 'node:crypto';
import type { EmbeddingModel, EmbedRequest } from '@sparkle/llm';
import { analyse } from '../index/analyse.js';

/**
 * Embeds a text as the sum of one pseudo-random direction per search term: deterministic, immediate, and texts
 * that share words are near each other.
 */
export class HashEmbeddingModel implements EmbeddingModel {
  readonly id = 'test-hash';
  readonly maxInputTokens = 100_000;
  private readonly directions = new Map<string, Float32Array>();

  constructor(readonly dimensions = 512) {}

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    request.signal?.throwIfAborted();
    return request.texts.map((text) => this.vectorOf(text));
  }

  private vectorOf(text: string): Float32Array {
    const vector = new Float32Array(this.dimensions);
    const terms = analyse(text);
    for (const term of terms.length > 0 ? terms : ['']) {
      const direction = this.directionOf(term);
      for (let i = 0; i < vector.length; i += 1) vector[i]! += direction[i]!;
    }
    const norm = Math.hypot(...vector);
    return vector.map((value) => value / norm);
  }

  private directionOf(term: string): Float32Array {
    const known = this.directions.get(term);
    if (known) return known;
    const direction = new Float32Array(this.dimensions);
    let block = createHash('sha256').update(term).digest();
    for (let i = 0; i < direction.length; i += 1) {
      if (i > 0 && i % 32 === 0) block = createHash('sha256').update(block).digest();
      direction[i] = block[i % 32]! - 127.5;
    }
    this.directions.set(term, direction);
    return direction;
  }
}
