import type { LlmModuleOptions } from '@sparkle/llm';
import type { RuntimeConfig } from '../config/environment.js';
import type { ChatEndpoint } from '../config/model-environment.js';

/** The models an application is configured with, in the terms of `@sparkle/llm`. */
export function modelOptions({
  chat,
  embedding,
  embeddingDimensions,
}: Pick<RuntimeConfig, 'chat' | 'embedding' | 'embeddingDimensions'>): LlmModuleOptions {
  return {
    chat: chat
      ? {
          kind: 'openai-compatible',
          ...endpoint(chat),
          fallbacks: chat.fallbacks.map(endpoint),
          fallbackToLocal: chat.fallbackToLocal,
          resilience: {
            timeoutMs: chat.timeoutMs,
            maxAttempts: chat.maxAttempts,
            breakerFailures: chat.breakerFailures,
            breakerHalfOpenAfterMs: chat.breakerOpenMs,
          },
        }
      : { kind: 'local' },
    embedding: embedding
      ? {
          kind: 'openai-compatible',
          baseUrl: embedding.baseUrl,
          model: embedding.model,
          dimensions: embeddingDimensions,
          sendDimensions: embedding.sendDimensions,
          maxInputTokens: embedding.maxInputTokens,
          batchSize: embedding.batchSize,
          pricePerMillion: embedding.pricePerMillion,
          resilience: { timeoutMs: embedding.timeoutMs },
          ...(embedding.apiKey !== undefined && { apiKey: embedding.apiKey }),
        }
      : { kind: 'local' },
  };
}

function endpoint({ baseUrl, model, apiKey, priceInput, priceOutput, ...rest }: ChatEndpoint) {
  return {
    baseUrl,
    model,
    inputPricePerMillion: priceInput,
    outputPricePerMillion: priceOutput,
    jsonMode: rest.jsonMode,
    tools: rest.tools,
    ...(apiKey !== undefined && { apiKey }),
    ...(rest.contextTokens !== undefined && { contextTokens: rest.contextTokens }),
    ...(rest.extraBody !== undefined && { extraBody: rest.extraBody }),
  };
}
