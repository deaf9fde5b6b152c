import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';
import { CallPolicy, type CallPolicyOptions } from './call-policy.js';
import { countTokens } from './token-count.js';

export interface ResilientEmbeddingOptions extends CallPolicyOptions {
  /** US dollars per million tokens, for usage accounting. Default 0. */
  readonly pricePerMillion?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What one attempt covers: a failure repeats this much, and the time-out applies to this much. */
const TEXTS_PER_CALL = 64;

/**
 * Puts a time-out, retries and a circuit breaker round an embedding model and publishes every call on
 * `channels.model`. A long list is embedded in parts of 64 texts, each with its own attempts. There is no fallback: vectors of two models cannot be compared.
 */
export class ResilientEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly semanticThreshold?: number;
  private readonly clock: Clock;
  private readonly policy: CallPolicy;
  private readonly pricePerMillion: number;

  constructor(
    private readonly model: EmbeddingModel,
    options: ResilientEmbeddingOptions = {},
  ) {
    this.id = model.id;
    this.dimensions = model.dimensions;
    this.maxInputTokens = model.maxInputTokens;
    if (model.semanticThreshold !== undefined) this.semanticThreshold = model.semanticThreshold;
    this.clock = options.clock ?? new SystemClock();
    this.policy = new CallPolicy(this.clock, options.random ?? new SystemRandom(), options);
    this.pricePerMillion = options.pricePerMillion ?? 0;
  }

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    request.signal?.throwIfAborted();
    const vectors: Float32Array[] = [];
    for (let start = 0; start < request.texts.length; start += TEXTS_PER_CALL) {
      const texts = request.texts.slice(start, start + TEXTS_PER_CALL);
      vectors.push(...(await this.embedBatch({ ...request, texts })));
    }
    return vectors;
  }

  private async embedBatch(request: EmbedRequest): Promise<Float32Array[]> {
    const subject = {
      model: this.id,
      operation: 'embed' as const,
      tenantId: request.tenantId,
      ...(request.signal && { signal: request.signal }),
    };
    let startedAt = 0;
    const vectors = await this.policy.run(subject, (signal) => {
      startedAt = this.clock.monotonic();
      return this.model.embed({ ...request, signal });
    });
    const inputTokens = request.texts.reduce(
      (sum, text) => sum + Math.min(this.maxInputTokens, countTokens(text)),
      0,
    );
    const costUsd = (inputTokens * this.pricePerMillion) / 1_000_000;
    this.policy.publish(subject, startedAt, 'success', { inputTokens, outputTokens: 0, costUsd });
    return vectors;
  }
}
