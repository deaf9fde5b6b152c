import { createHash } from 'node:crypto';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';

export interface CachedEmbeddingOptions {
  /** Most vectors kept over all tenants; the least recently used goes first. Default 10,000 (20 MB at 512 dimensions). */
  readonly maxEntries?: number;
}

/**
 * Remembers vectors by tenant, model and text, and sends each distinct unknown text of a request once.
 * A failed or cancelled call leaves nothing behind. Callers get copies, so they may change what they get.
 */
export class CachedEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly semanticThreshold?: number;
  private readonly maxEntries: number;
  /** Iterates from the least to the most recently used entry. */
  private readonly entries = new Map<string, Float32Array>();

  constructor(
    private readonly model: EmbeddingModel,
    options: CachedEmbeddingOptions = {},
  ) {
    this.id = model.id;
    this.dimensions = model.dimensions;
    this.maxInputTokens = model.maxInputTokens;
    if (model.semanticThreshold !== undefined) this.semanticThreshold = model.semanticThreshold;
    this.maxEntries = options.maxEntries ?? 10_000;
  }

  /** Vectors held at the moment. */
  get size(): number {
    return this.entries.size;
  }

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    request.signal?.throwIfAborted();
    const keys = request.texts.map((text) => this.keyOf(request.tenantId, text));
    const found = new Map<string, Float32Array>();
    const missing = new Map<string, string>();
    for (const [index, key] of keys.entries()) {
      const vector = found.get(key) ?? this.read(key);
      if (vector) found.set(key, vector);
      else missing.set(key, request.texts[index] as string);
    }
    if (missing.size > 0) {
      const vectors = await this.model.embed({ ...request, texts: [...missing.values()] });
      for (const [index, key] of [...missing.keys()].entries()) {
        const vector = vectors[index] as Float32Array;
        found.set(key, vector);
        this.write(key, vector);
      }
    }
    return keys.map((key) => (found.get(key) as Float32Array).slice());
  }

  private keyOf(tenantId: string, text: string): string {
    return `${tenantId}:${this.id}:${createHash('sha256').update(text).digest('base64')}`;
  }

  private read(key: string): Float32Array | undefined {
    const vector = this.entries.get(key);
    if (vector) {
      this.entries.delete(key);
      this.entries.set(key, vector);
    }
    return vector;
  }

  private write(key: string, vector: Float32Array): void {
    this.entries.set(key, vector);
    if (this.entries.size > this.maxEntries) {
      const oldest = this.entries.keys().next();
      if (!oldest.done) this.entries.delete(oldest.value);
    }
  }
}
