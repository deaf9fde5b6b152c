import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { isLlmError, LlmInputInvalidError, LlmTextsRejectedError } from '../errors.js';
import type { TokenUsage } from '../ports/chat-model.port.js';
import type { EmbeddingModel, EmbedRequest } from '../ports/embedding-model.port.js';
import type { ModelAdmission } from '../ports/model-admission.port.js';
import { AdmittedCall } from './admitted-call.js';
import { CallPolicy, type CallPolicyOptions } from './call-policy.js';
import { countTokens } from './token-count.js';
import { costOf } from './token-price.js';

export interface ResilientEmbeddingOptions extends CallPolicyOptions {
  /** US dollars per million tokens, for usage accounting. Default 0. */
  readonly pricePerMillion?: number;
  readonly admission?: ModelAdmission;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Texts of one call, where the model names no bound of its own. */
const DEFAULT_BATCH = 64;
/** Tokens of one call, so that a tenant's budget is reserved in portions; one text may have more. */
const TOKENS_PER_CALL = 16_384;
/** Refused texts that are searched for in one call; with more, the request itself is what is wrong. */
const MAX_REJECTED = 8;
/** Refusals that may be about one text of several. */
const MAY_BLAME_A_TEXT: ReadonlySet<string> = new Set(['LLM_REQUEST_REJECTED', 'LLM_CONTEXT_TOO_LONG']);

/** Texts of one call, with their places in the request. */
interface Batch {
  readonly start: number;
  readonly texts: readonly string[];
  readonly tokens: number;
}

/**
 * Puts a time-out, retries and a circuit breaker round an embedding model, asks for admission before each call,
 * settles its usage after it, and publishes it on `channels.model`. A long list becomes several calls, each with
 * its own attempts. When the provider refuses a call, its texts are sent in halves until the refused ones are
 * found, and the others keep their vectors. There is no fallback: vectors of two models cannot be compared.
 */
export class ResilientEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly maxBatch: number;
  readonly semanticThreshold?: number;
  private readonly clock: Clock;
  private readonly policy: CallPolicy;
  private readonly pricePerMillion: number;
  private readonly admission: ModelAdmission | undefined;

  constructor(
    private readonly model: EmbeddingModel,
    options: ResilientEmbeddingOptions = {},
  ) {
    this.id = model.id;
    this.dimensions = model.dimensions;
    this.maxInputTokens = model.maxInputTokens;
    this.maxBatch = model.maxBatch ?? DEFAULT_BATCH;
    if (model.semanticThreshold !== undefined) this.semanticThreshold = model.semanticThreshold;
    this.clock = options.clock ?? new SystemClock();
    this.policy = new CallPolicy(this.clock, options.random ?? new SystemRandom(), model.id, options);
    this.pricePerMillion = options.pricePerMillion ?? 0;
    this.admission = options.admission;
  }

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    const { texts, signal } = request;
    signal?.throwIfAborted();
    const blank = texts.findIndex((text) => text.trim() === '');
    if (blank >= 0) throw new LlmInputInvalidError(`texts[${blank}] is blank; a text to embed has content.`);
    const vectors: (Float32Array | undefined)[] = new Array(texts.length).fill(undefined);
    const rejected: number[] = [];
    let cause: unknown;
    for (const batch of this.batches(texts)) {
      cause = (await this.embedOrHalve(request, batch, vectors, rejected)) ?? cause;
    }
    if (rejected.length > 0) throw new LlmTextsRejectedError(this.id, rejected, vectors, { cause });
    return vectors as Float32Array[];
  }

  private *batches(texts: readonly string[]): Generator<Batch> {
    let start = 0;
    let tokens = 0;
    for (const [index, text] of texts.entries()) {
      const own = this.tokensOf(text);
      const full = index - start >= this.maxBatch || tokens + own > TOKENS_PER_CALL;
      if (full && index > start) {
        yield { start, texts: texts.slice(start, index), tokens };
        [start, tokens] = [index, 0];
      }
      tokens += own;
    }
    if (start < texts.length) yield { start, texts: texts.slice(start), tokens };
  }

  /** Fills in the vectors of a batch; what the provider refuses goes to `rejected`, and its refusal is returned. */
  private async embedOrHalve(
    request: EmbedRequest,
    batch: Batch,
    vectors: (Float32Array | undefined)[],
    rejected: number[],
  ): Promise<unknown> {
    const { start, texts } = batch;
    try {
      for (const [index, vector] of (await this.call(request, batch)).entries())
        vectors[start + index] = vector;
      return undefined;
    } catch (error) {
      if (!isLlmError(error) || !MAY_BLAME_A_TEXT.has(error.code)) throw error;
      // A request of one text that is refused is a refused request.
      if (request.texts.length === 1) throw error;
      if (texts.length === 1) {
        rejected.push(start);
        if (rejected.length > MAX_REJECTED || rejected.length === request.texts.length) throw error;
        return error;
      }
      const half = texts.length >> 1;
      const parts = [texts.slice(0, half), texts.slice(half)];
      for (const [index, part] of parts.entries()) {
        const tokens = part.reduce((sum, text) => sum + this.tokensOf(text), 0);
        const smaller = { start: start + index * half, texts: part, tokens };
        await this.embedOrHalve(request, smaller, vectors, rejected);
      }
      return error;
    }
  }

  private async call(request: EmbedRequest, { texts, tokens }: Batch): Promise<Float32Array[]> {
    request.signal?.throwIfAborted();
    const grant = await this.admission?.admit({
      tenantId: request.tenantId,
      operation: 'embed',
      estimatedTokens: tokens,
      ...(request.signal && { signal: request.signal }),
    });
    const admitted = new AdmittedCall(grant);
    const signals = [request.signal, grant?.signal].filter((signal) => signal !== undefined);
    const subject = {
      model: this.id,
      operation: 'embed' as const,
      tenantId: request.tenantId,
      lostUsage: () => this.usageOf(tokens),
      onLost: (usage: TokenUsage) => admitted.add(usage),
      ...(signals.length > 0 && { signal: AbortSignal.any(signals) }),
    };
    let startedAt = 0;
    let reported: number | undefined;
    try {
      const vectors = await this.policy.run(subject, async (signal) => {
        startedAt = this.clock.monotonic();
        reported = undefined;
        return this.model.embed({
          tenantId: request.tenantId,
          texts,
          signal,
          onUsage: (more) => {
            reported = (reported ?? 0) + more;
          },
        });
      });
      const usage = this.usageOf(reported ?? tokens);
      admitted.add(usage);
      request.onUsage?.(usage.inputTokens);
      this.policy.publish(subject, startedAt, 'success', usage);
      return vectors;
    } finally {
      await admitted.end();
    }
  }

  private tokensOf(text: string): number {
    return Math.min(this.maxInputTokens, countTokens(text));
  }

  private usageOf(inputTokens: number): TokenUsage {
    const price = { inputPerMillion: this.pricePerMillion, outputPerMillion: 0 };
    return { inputTokens, outputTokens: 0, costUsd: costOf(price, inputTokens, 0) };
  }
}
