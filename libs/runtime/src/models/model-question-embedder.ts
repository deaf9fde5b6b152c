import type { QuestionEmbedder } from '@sparkle/cache';
import type { TenantId } from '@sparkle/contracts';
import type { EmbeddingModel } from '@sparkle/llm';

/** The application's embedding model as the semantic cache sees it. */
export class ModelQuestionEmbedder implements QuestionEmbedder {
  readonly id: string;
  readonly dimensions: number;
  readonly semanticThreshold?: number;

  constructor(private readonly model: EmbeddingModel) {
    this.id = model.id;
    this.dimensions = model.dimensions;
    if (model.semanticThreshold !== undefined) this.semanticThreshold = model.semanticThreshold;
  }

  async embed(tenantId: TenantId, text: string, signal?: AbortSignal): Promise<Float32Array> {
    const [vector] = await this.model.embed({ tenantId, texts: [text], ...(signal && { signal }) });
    if (!vector) throw new TypeError('the embedding model returned no vector');
    return vector;
  }
}
