import type { TenantId } from '@sparkle/contracts';
import { type EmbeddingModel, isLlmError } from '@sparkle/llm';

/** A question's vector; `undefined` when the model failed, for words alone can answer as well. */
export async function embedQuestion(
  model: EmbeddingModel,
  tenantId: TenantId,
  question: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array | undefined> {
  try {
    const [vector] = await model.embed({ tenantId, texts: [question], ...(signal && { signal }) });
    return vector;
  } catch (error) {
    if (signal?.aborted || !isLlmError(error)) throw error;
    return undefined;
  }
}
