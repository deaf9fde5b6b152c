import { parseLlmOptions } from '@sparkle/llm';
import { describe, expect, it } from 'vitest';
import { ConfigurationInvalidError } from '../errors.js';
import { modelOptions } from '../models/model-options.js';
import { parseEnvironment } from './environment.js';

const CHAT = { SPARKLE_CHAT_BASE_URL: 'https://models.example/v1', SPARKLE_CHAT_MODEL: 'big' };

const optionsOf = (env: Record<string, string>) => modelOptions(parseEnvironment(env, { embedded: true }));

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    parseEnvironment(env, { embedded: true });
  } catch (error) {
    if (error instanceof ConfigurationInvalidError) return error.problems;
    throw error;
  }
  return [];
}

describe('the variables of models', () => {
  it('without any give local models', () => {
    expect(optionsOf({})).toEqual({ chat: { kind: 'local' }, embedding: { kind: 'local' } });
  });

  it('give an endpoint its defaults, and the local model to fall back to', () => {
    const { chat } = optionsOf(CHAT);
    expect(chat).toMatchObject({
      kind: 'openai-compatible',
      model: 'big',
      fallbacks: [],
      fallbackToLocal: true,
      resilience: { timeoutMs: 30_000, maxAttempts: 3, breakerFailures: 5, breakerHalfOpenAfterMs: 10_000 },
    });
  });

  it('set prices, bounds and a chain of fallbacks, all of which the library accepts', () => {
    const options = optionsOf({
      ...CHAT,
      SPARKLE_CHAT_PRICE_INPUT: '0.4',
      SPARKLE_CHAT_PRICE_OUTPUT: '1.2',
      SPARKLE_CHAT_CONTEXT_TOKENS: '32768',
      SPARKLE_CHAT_TIMEOUT_MS: '5000',
      SPARKLE_CHAT_MAX_ATTEMPTS: '2',
      SPARKLE_CHAT_JSON_MODE: 'object',
      SPARKLE_CHAT_TOOLS: 'false',
      SPARKLE_CHAT_EXTRA_BODY: '{"enable_thinking":false}',
      SPARKLE_CHAT_FALLBACK_LOCAL: 'false',
      SPARKLE_CHAT_FALLBACKS:
        '[{"baseUrl":"http://127.0.0.1:11434/v1","model":"qwen3:8b","priceOutput":1,"contextTokens":8192}]',
      SPARKLE_EMBEDDING_BASE_URL: 'https://models.example/v1',
      SPARKLE_EMBEDDING_MODEL: 'embed',
      SPARKLE_EMBEDDING_DIMENSIONS: '1024',
      SPARKLE_EMBEDDING_SEND_DIMENSIONS: 'true',
      SPARKLE_EMBEDDING_BATCH_SIZE: '10',
      SPARKLE_EMBEDDING_PRICE: '0.07',
    });
    expect(parseLlmOptions(options)).toMatchObject({
      chat: {
        inputPricePerMillion: 0.4,
        outputPricePerMillion: 1.2,
        contextTokens: 32_768,
        jsonMode: 'object',
        tools: false,
        extraBody: { enable_thinking: false },
        fallbackToLocal: false,
        fallbacks: [{ model: 'qwen3:8b', outputPricePerMillion: 1, contextTokens: 8192 }],
        resilience: { timeoutMs: 5000, maxAttempts: 2 },
      },
      embedding: { dimensions: 1024, sendDimensions: true, batchSize: 10, pricePerMillion: 0.07 },
    });
  });

  it('that are wrong are all named at once, and neither they nor the keys in them are shown', () => {
    const problems = problemsOf({
      ...CHAT,
      SPARKLE_CHAT_FALLBACKS: '[{"baseUrl":"ftp://hidden","model":"hidden","apiKey":"sk-hidden"}]',
      SPARKLE_CHAT_EXTRA_BODY: '["hidden"]',
      SPARKLE_CHAT_PRICE_INPUT: '-1',
      SPARKLE_CHAT_JSON_MODE: 'hidden',
      SPARKLE_EMBEDDING_BATCH_SIZE: '0',
    }).join('\n');
    for (const name of [
      'CHAT_FALLBACKS',
      'CHAT_EXTRA_BODY',
      'CHAT_PRICE_INPUT',
      'CHAT_JSON_MODE',
      'EMBEDDING_BATCH_SIZE',
    ])
      expect(problems).toContain(`SPARKLE_${name}`);
    expect(problems).not.toContain('hidden');
  });
});
