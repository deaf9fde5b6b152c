import type { EmbeddingModel, EmbedRequest } from '@sparkle/llm';

/** Another model that fails whenever `fault` returns an error for the number of the call, counted from 1. */
export class FaultyEmbeddingModel implements EmbeddingModel {
  readonly id: string;
  readonly dimensions: number;
  readonly maxInputTokens: number;
  calls = 0;
  texts = 0;

  constructor(
    private readonly model: EmbeddingModel,
    public fault: (call: number) => Error | undefined = () => undefined,
  ) {
    this.id = model.id;
    this.dimensions = model.dimensions;
    this.maxInputTokens = model.maxInputTokens;
  }

  async embed(request: EmbedRequest): Promise<Float32Array[]> {
    this.calls += 1;
    const error = this.fault(this.calls);
    if (error) throw error;
    this.texts += request.texts.length;
    return this.model.embed(request);
  }
}
