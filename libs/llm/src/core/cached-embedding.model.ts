import { createHash } from 'node:crypto';
import { LlmTextsRejectedError } from '../errors.js';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';

export interface CachedEmbeddingOptions {
  /** Most vectors kept over all tenants; the least recently used goes first. Default 10,000 (20 MB at 512 dimensions). */
  readonly maxEntries?: number;
}

/**
 * Remembers vectors by tenant, model and text, and sends each distinct unknown text of a request once.
 * A failed or cancelled call leaves nothing behind; of a call that was refused for some of its texts, the others'
 * vectors stay. Callers get copies, so they may change what they get.
 */
export class CachedEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly maxBatch?: number;
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
    if (model.maxBatch !== undefined) this.maxBatch = model.maxBatch;
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
      const { vectors, rejection } = await this.ask({ ...request, texts: [...missing.values()] });
      for (const [index, key] of [...missing.keys()].entries()) {
        const vector = vectors[index];
        if (!vector) continue;
        found.set(key, vector);
        this.write(key, vector);
      }
      if (rejection) throw this.rejectionOf(keys, found, rejection);
    }
    return keys.map((key) => (found.get(key) as Float32Array).slice());
  }

  private async ask(request: EmbedRequest): Promise<{
    vectors: readonly (Float32Array | undefined)[];
    rejection?: LlmTextsRejectedError;
  }> {
    try {
      return { vectors: await this.model.embed(request) };
    } catch (error) {
      if (!(error instanceof LlmTextsRejectedError)) throw error;
      return { vectors: error.vectors, rejection: error };
    }
  }

  /** The refusal in places of the caller's request, which has what was in the cache beside what was asked. */
  private rejectionOf(
    keys: readonly string[],
    found: ReadonlyMap<string, Float32Array>,
    cause: LlmTextsRejectedError,
  ): LlmTextsRejectedError {
    const vectors = keys.map((key) => found.get(key)?.slice());
    const indexes = [...vectors.keys()].filter((index) => !vectors[index]);
    return new LlmTextsRejectedError(this.id, indexes, vectors, { cause });
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
