import { z } from 'zod';

const integer = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);
const price = z.coerce.number().min(0).max(1e6).default(0);
const httpUrl = z
  .string()
  .refine((value) => URL.canParse(value) && /^https?:$/u.test(new URL(value).protocol), {
    message: 'an address starting with http:// or https://',
  });

/** JSON of a schema; anything else is reported with an example and never quoted. */
function json<Schema extends z.ZodType>(schema: Schema, example: string) {
  return z.string().transform((text, context): z.output<Schema> => {
    try {
      const parsed = schema.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch {
      // Reported below, like JSON of the wrong shape.
    }
    context.addIssue(`JSON such as ${example}`);
    return z.NEVER;
  });
}

const contextTokens = z.int().min(256).max(100_000_000);
const jsonMode = z.enum(['off', 'object', 'schema']);
const extraBody = z.record(z.string(), z.unknown());

const fallbacks = z.array(
  z.strictObject({
    baseUrl: httpUrl,
    model: z.string().min(1),
    apiKey: z.string().min(1).optional(),
    priceInput: z.number().min(0).default(0),
    priceOutput: z.number().min(0).default(0),
    contextTokens: contextTokens.optional(),
    jsonMode: jsonMode.default('off'),
    tools: z.boolean().default(true),
    extraBody: extraBody.optional(),
  }),
);

/** The variables that choose and bound the models; `.env.example` documents each. */
export const modelVariables = {
  SPARKLE_CHAT_BASE_URL: httpUrl.optional(),
  SPARKLE_CHAT_API_KEY: z.string().min(1).optional(),
  SPARKLE_CHAT_MODEL: z.string().min(1).optional(),
  SPARKLE_CHAT_PRICE_INPUT: price,
  SPARKLE_CHAT_PRICE_OUTPUT: price,
  SPARKLE_CHAT_CONTEXT_TOKENS: integer(256, 100_000_000).optional(),
  SPARKLE_CHAT_TIMEOUT_MS: integer(1, 3_600_000).default(30_000),
  SPARKLE_CHAT_MAX_ATTEMPTS: integer(1, 10).default(3),
  SPARKLE_CHAT_BREAKER_FAILURES: integer(1, 1000).default(5),
  SPARKLE_CHAT_BREAKER_OPEN_MS: integer(1, 3_600_000).default(10_000),
  SPARKLE_CHAT_JSON_MODE: jsonMode.default('off'),
  SPARKLE_CHAT_TOOLS: z.enum(['true', 'false']).default('true'),
  SPARKLE_CHAT_EXTRA_BODY: json(extraBody, '{"enable_thinking":false}').optional(),
  SPARKLE_CHAT_FALLBACKS: json(
    fallbacks,
    '[{"baseUrl":"https://models.example/v1","model":"name","apiKey":"…"}]',
  ).default([]),
  SPARKLE_CHAT_FALLBACK_LOCAL: z.enum(['true', 'false']).default('true'),
  SPARKLE_EMBEDDING_BASE_URL: httpUrl.optional(),
  SPARKLE_EMBEDDING_API_KEY: z.string().min(1).optional(),
  SPARKLE_EMBEDDING_MODEL: z.string().min(1).optional(),
  SPARKLE_EMBEDDING_DIMENSIONS: integer(1, 2000).default(512),
  SPARKLE_EMBEDDING_SEND_DIMENSIONS: z.enum(['true', 'false']).default('false'),
  SPARKLE_EMBEDDING_MAX_INPUT_TOKENS: integer(1, 1_000_000).default(8191),
  SPARKLE_EMBEDDING_BATCH_SIZE: integer(1, 2048).default(64),
  SPARKLE_EMBEDDING_PRICE: price,
  SPARKLE_EMBEDDING_TIMEOUT_MS: integer(1, 3_600_000).default(60_000),
};

type ModelVariables = z.output<z.ZodObject<typeof modelVariables>>;

/** One OpenAI-compatible chat endpoint; prices in US dollars per million tokens. */
export interface ChatEndpoint {
  readonly baseUrl: string;
  readonly apiKey?: string | undefined;
  readonly model: string;
  readonly priceInput: number;
  readonly priceOutput: number;
  readonly contextTokens?: number | undefined;
  readonly jsonMode: 'off' | 'object' | 'schema';
  readonly tools: boolean;
  readonly extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** A chat model behind an endpoint, and what happens when it fails. */
export interface RemoteChatSettings extends ChatEndpoint {
  readonly fallbacks: readonly ChatEndpoint[];
  /** The local extractive model answers when all endpoints fail. */
  readonly fallbackToLocal: boolean;
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly breakerFailures: number;
  readonly breakerOpenMs: number;
}

/** An embedding model behind an endpoint. */
export interface RemoteEmbeddingSettings {
  readonly baseUrl: string;
  readonly apiKey?: string | undefined;
  readonly model: string;
  readonly sendDimensions: boolean;
  readonly maxInputTokens: number;
  readonly batchSize: number;
  readonly pricePerMillion: number;
  readonly timeoutMs: number;
}

/** The chat model's endpoint, or undefined for the local model. */
export function chatOf(values: ModelVariables): RemoteChatSettings | undefined {
  const { SPARKLE_CHAT_BASE_URL: baseUrl, SPARKLE_CHAT_MODEL: model } = values;
  if (!baseUrl || !model) return undefined;
  return {
    baseUrl,
    model,
    apiKey: values.SPARKLE_CHAT_API_KEY,
    priceInput: values.SPARKLE_CHAT_PRICE_INPUT,
    priceOutput: values.SPARKLE_CHAT_PRICE_OUTPUT,
    contextTokens: values.SPARKLE_CHAT_CONTEXT_TOKENS,
    jsonMode: values.SPARKLE_CHAT_JSON_MODE,
    tools: values.SPARKLE_CHAT_TOOLS === 'true',
    extraBody: values.SPARKLE_CHAT_EXTRA_BODY,
    fallbacks: values.SPARKLE_CHAT_FALLBACKS,
    fallbackToLocal: values.SPARKLE_CHAT_FALLBACK_LOCAL === 'true',
    timeoutMs: values.SPARKLE_CHAT_TIMEOUT_MS,
    maxAttempts: values.SPARKLE_CHAT_MAX_ATTEMPTS,
    breakerFailures: values.SPARKLE_CHAT_BREAKER_FAILURES,
    breakerOpenMs: values.SPARKLE_CHAT_BREAKER_OPEN_MS,
  };
}

/** The embedding model's endpoint, or undefined for the local model. */
export function embeddingOf(values: ModelVariables): RemoteEmbeddingSettings | undefined {
  const { SPARKLE_EMBEDDING_BASE_URL: baseUrl, SPARKLE_EMBEDDING_MODEL: model } = values;
  if (!baseUrl || !model) return undefined;
  return {
    baseUrl,
    model,
    apiKey: values.SPARKLE_EMBEDDING_API_KEY,
    sendDimensions: values.SPARKLE_EMBEDDING_SEND_DIMENSIONS === 'true',
    maxInputTokens: values.SPARKLE_EMBEDDING_MAX_INPUT_TOKENS,
    batchSize: values.SPARKLE_EMBEDDING_BATCH_SIZE,
    pricePerMillion: values.SPARKLE_EMBEDDING_PRICE,
    timeoutMs: values.SPARKLE_EMBEDDING_TIMEOUT_MS,
  };
}
