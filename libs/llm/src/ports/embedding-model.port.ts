import type { TenantId } from '@sparkle/contracts';

export interface EmbedRequest {
  readonly tenantId: TenantId;
  readonly texts: readonly string[];
  readonly signal?: AbortSignal;
  /** Gets the tokens the provider charged, once per request to it, where it says so. */
  readonly onUsage?: (tokens: number) => void;
}

/** Turns texts into unit-length vectors. Failures are `LlmError`s. */
export interface EmbeddingModel {
  /** Stable name, part of cache keys, e.g. `local-use-512`. */
  readonly id: string;
  readonly dimensions: number;
  /** Longer texts are cut to this many tokens before embedding. */
  readonly maxInputTokens: number;
  /** Texts that one request to the provider takes; a longer list is sent as several. */
  readonly maxBatch?: number;
  /** Cosine similarity from which two questions may be taken for paraphrases; `undefined` when not known. */
  readonly semanticThreshold?: number;
  /**
   * One vector per text, in order, each of length {@link dimensions} and norm 1.
   * @throws LlmTextsRejectedError when the provider refuses some of the texts; it holds the others' vectors.
   */
  embed(request: EmbedRequest): Promise<Float32Array[]>;
}

/** Injection token of the {@link EmbeddingModel} port. */
export const EmbeddingModel = Symbol('EmbeddingModel');
