import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { z } from 'zod';
import { truncateToTokens } from '../../core/token-count.js';
import { LlmBadResponseError, LlmInputInvalidError } from '../../errors.js';
import type { EmbeddingModel, EmbedRequest } from '../../ports/embedding-model.port.js';
import { boundedFetch } from './bounded-fetch.js';
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
  /** Texts per HTTP request, as many as the provider takes. Default 64. */
  readonly batchSize?: number;
  /** See {@link EmbeddingModel.semanticThreshold}. */
  readonly semanticThreshold?: number;
  /** Longest response, in bytes; a longer one is a bad response. Default 64 MiB. */
  readonly maxResponseBytes?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

const DEFAULT_MAX_RESPONSE_BYTES = 64 << 20;

type ProviderModel = ReturnType<ReturnType<typeof createOpenAICompatible>['embeddingModel']>;

/** An embedding model behind any endpoint that speaks OpenAI's embeddings protocol. Batches go one by one. */
export class OpenAICompatibleEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  readonly maxBatch: number;
  readonly semanticThreshold?: number;
  private readonly model: ProviderModel;
  private readonly clock: Clock;

  constructor(private readonly options: OpenAICompatibleEmbeddingOptions) {
    this.id = options.model;
    this.dimensions = options.dimensions;
    this.maxInputTokens = options.maxInputTokens ?? 8191;
    this.maxBatch = options.batchSize ?? 64;
    if (options.semanticThreshold !== undefined) this.semanticThreshold = options.semanticThreshold;
    this.clock = options.clock ?? new SystemClock();
    this.model = createOpenAICompatible({
      name: 'openaiCompatible',
      baseURL: options.baseUrl,
      fetch: boundedFetch(options.model, options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES),
      ...(options.apiKey !== undefined && { apiKey: options.apiKey }),
      ...(options.headers && { headers: { ...options.headers } }),
    }).embeddingModel(options.model);
  }

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    const { texts, signal } = request;
    signal?.throwIfAborted();
    const blank = texts.findIndex((text) => text.trim() === '');
    if (blank >= 0) throw new LlmInputInvalidError(`texts[${blank}] is blank; a text to embed has content.`);
    const vectors: Float32Array[] = [];
    for (let start = 0; start < texts.length; start += this.maxBatch) {
      const batch = texts.slice(start, start + this.maxBatch);
      vectors.push(...(await this.embedBatch(batch, request)));
    }
    return vectors;
  }

  private async embedBatch(batch: readonly string[], request: EmbedRequest): Promise<Float32Array[]> {
    const embeddings = await this.request(batch, request);
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
    { signal, onUsage }: EmbedRequest,
  ): Promise<readonly (readonly number[])[]> {
    try {
      const { embeddings, usage, response } = await this.model.doEmbed({
        values: batch.map((text) => truncateToTokens(text, this.maxInputTokens)),
        ...(signal && { abortSignal: signal }),
        ...(this.options.sendDimensions && {
          providerOptions: { openaiCompatible: { dimensions: this.dimensions } },
        }),
      });
      if (usage) onUsage?.(usage.tokens);
      return this.inOrder(embeddings, response?.body);
    } catch (error) {
      signal?.throwIfAborted();
      throw toLlmError(error, this.id, this.clock.now());
    }
  }

  /** Vectors by the `index` that the provider gives them, where it does; their order is not promised. */
  private inOrder(embeddings: readonly (readonly number[])[], body: unknown): readonly (readonly number[])[] {
    const places = placesOf(body);
    if (!places) return embeddings;
    const ordered = new Array<readonly number[] | undefined>(embeddings.length).fill(undefined);
    for (const [position, place] of places.entries()) ordered[place] = embeddings[position];
    if (ordered.length !== embeddings.length || ordered.includes(undefined))
      throw new LlmBadResponseError(this.id, 'its vectors are numbered wrongly');
    return ordered as (readonly number[])[];
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

const numberedVectors = z.object({ data: z.array(z.object({ index: z.int().min(0).max(100_000) })) });

function placesOf(body: unknown): readonly number[] | undefined {
  const parsed = numberedVectors.safeParse(body);
  return parsed.success ? parsed.data.data.map(({ index }) => index) : undefined;
}
