import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { truncateToTokens } from '../../core/token-count.js';
import { LlmBadResponseError, LlmInputInvalidError } from '../../errors.js';
import type { EmbeddingModel, EmbedRequest } from '../../ports/embedding-model.port.js';
import { toLlmError } from './provider-error.js';

export interface OpenAICompatibleEmbeddingOptions {
  /** Up to and including the version, e.g. `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  /** Name of the model at the provider; also this model's {@link EmbeddingModel.id}. */
  readonly model: string;
  /** Length of the vectors the model gives; another length is refused. */
  readonly dimensions: number;
  /** Asks the provider for this length, for models that can shorten their vectors. Default false. */
  readonly sendDimensions?: boolean;
  /** Default 8191. */
  readonly maxInputTokens?: number;
  /** Texts per HTTP request. Default 64. */
  readonly batchSize?: number;
  /** See {@link EmbeddingModel.semanticThreshold}. */
  readonly semanticThreshold?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

type ProviderModel = ReturnType<ReturnType<typeof createOpenAICompatible>['embeddingModel']>;

/** An embedding model behind any endpoint that speaks OpenAI's embeddings protocol. Batches go one by one. */
export class OpenAICompatibleEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly semanticThreshold?: number;
  private readonly model: ProviderModel;
  private readonly clock: Clock;
  private readonly batchSize: number;

  constructor(private readonly options: OpenAICompatibleEmbeddingOptions) {
    this.id = options.model;
    this.dimensions = options.dimensions;
    this.maxInputTokens = options.maxInputTokens ?? 8191;
    this.batchSize = options.batchSize ?? 64;
    if (options.semanticThreshold !== undefined) this.semanticThreshold = options.semanticThreshold;
    this.clock = options.clock ?? new SystemClock();
    this.model = createOpenAICompatible({
      name: 'openaiCompatible',
      baseURL: options.baseUrl,
      ...(options.apiKey !== undefined && { apiKey: options.apiKey }),
      ...(options.headers && { headers: { ...options.headers } }),
    }).embeddingModel(options.model);
  }

  async embed({ texts, signal }: EmbedRequest): Promise<Float32Array[]> {
    signal?.throwIfAborted();
    const blank = texts.findIndex((text) => text.trim() === '');
    if (blank >= 0) throw new LlmInputInvalidError(`texts[${blank}] is blank; a text to embed has content.`);
    const vectors: Float32Array[] = [];
    for (let start = 0; start < texts.length; start += this.batchSize) {
      const batch = texts.slice(start, start + this.batchSize);
      vectors.push(...(await this.embedBatch(batch, signal)));
    }
    return vectors;
  }

  private async embedBatch(
    batch: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    const embeddings = await this.request(batch, signal);
    if (embeddings.length !== batch.length) {
      throw new LlmBadResponseError(
        this.id,
        `it holds ${embeddings.length} vectors for ${batch.length} texts`,
      );
    }
    return embeddings.map((values) => this.unit(values));
  }

  private async request(
    batch: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly (readonly number[])[]> {
    try {
      const { embeddings } = await this.model.doEmbed({
        values: batch.map((text) => truncateToTokens(text, this.maxInputTokens)),
        ...(signal && { abortSignal: signal }),
        ...(this.options.sendDimensions && {
          providerOptions: { openaiCompatible: { dimensions: this.dimensions } },
        }),
      });
      return embeddings;
    } catch (error) {
      signal?.throwIfAborted();
      throw toLlmError(error, this.id, this.clock.now());
    }
  }

  private unit(values: readonly number[]): Float32Array {
    if (values.length !== this.dimensions) {
      throw new LlmBadResponseError(
        this.id,
        `a vector has ${values.length} dimensions where ${this.dimensions} are configured`,
      );
    }
    const norm = Math.hypot(...values);
    if (!Number.isFinite(norm) || norm === 0)
      throw new LlmBadResponseError(this.id, 'a vector has no direction');
    return Float32Array.from(values, (value) => value / norm);
  }
}
