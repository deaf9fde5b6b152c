import { z } from 'zod';
import { LlmOptionsInvalidError } from './errors.js';

const milliseconds = z.number().int().min(0).max(3_600_000);

const resilience = z
  .strictObject({
    timeoutMs: milliseconds.min(1).default(60_000),
    maxStreamMs: milliseconds.min(1).default(300_000),
    maxAttempts: z.number().int().min(1).max(10).default(3),
    baseDelayMs: milliseconds.default(250),
    maxDelayMs: milliseconds.default(10_000),
    breakerFailures: z.number().int().min(1).default(5),
    breakerHalfOpenAfterMs: milliseconds.min(1).default(10_000),
  })
  .prefault({});

const endpoint = {
  baseUrl: z.url({ protocol: /^https?$/u }),
  apiKey: z.string().min(1).optional(),
  model: z.string().min(1),
  headers: z.record(z.string(), z.string()).optional(),
};
const price = z.number().min(0).default(0);

const chatEndpoint = {
  ...endpoint,
  inputPricePerMillion: price,
  outputPricePerMillion: price,
  /** Tokens that prompt and answer may have together. */
  contextTokens: z.number().int().min(256).optional(),
  jsonMode: z.enum(['off', 'object', 'schema']).default('off'),
  /** False for an endpoint that refuses requests with tools. */
  tools: z.boolean().default(true),
  /** Merged into the body of each request; `null` leaves a field out. */
  extraBody: z.record(z.string(), z.unknown()).optional(),
};

const remoteChat = z.strictObject({
  kind: z.literal('openai-compatible'),
  ...chatEndpoint,
  /** Further endpoints, tried in order when this one fails. */
  fallbacks: z.array(z.strictObject(chatEndpoint)).default([]),
  /** Ends the chain with the local extractive model, so that there is always an answer. */
  fallbackToLocal: z.boolean().default(false),
  resilience,
});

const remoteEmbedding = z.strictObject({
  kind: z.literal('openai-compatible'),
  ...endpoint,
  dimensions: z.number().int().min(1).max(16_000),
  sendDimensions: z.boolean().default(false),
  maxInputTokens: z.number().int().min(1).default(8191),
  /** Texts per request. */
  batchSize: z.number().int().min(1).max(2048).default(64),
  pricePerMillion: price,
  semanticThreshold: z.number().min(-1).max(1).optional(),
  resilience,
});

const localEmbedding = z.strictObject({
  kind: z.literal('local'),
  threads: z.number().int().min(1).max(4).default(1),
});

const schema = z.strictObject({
  chat: z
    .discriminatedUnion('kind', [z.strictObject({ kind: z.literal('local') }), remoteChat])
    .prefault({ kind: 'local' }),
  embedding: z.discriminatedUnion('kind', [localEmbedding, remoteEmbedding]).prefault({ kind: 'local' }),
  /** Vectors kept in memory; 0 turns the cache off. */
  embeddingCacheEntries: z.number().int().min(0).default(10_000),
});

/** What `LlmModule.forRoot` takes. Everything has a default: both models local. */
export type LlmModuleOptions = z.input<typeof schema>;
export type ResolvedLlmOptions = z.output<typeof schema>;

/**
 * Checks options and fills in defaults.
 * @throws LlmOptionsInvalidError listing every wrong path.
 */
export function parseLlmOptions(options: unknown): ResolvedLlmOptions {
  const parsed = schema.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  throw new LlmOptionsInvalidError(parsed.error.issues.map(describeIssue));
}

/** Path and what is wrong; zod's own messages may quote the value, so the code is what is shown. */
function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.length > 0 ? issue.path.join('.') : '(options)';
  switch (issue.code) {
    case 'invalid_type':
      return `${path} must be ${issue.expected}`;
    case 'too_small':
      return `${path} must be at least ${issue.minimum}`;
    case 'too_big':
      return `${path} must be at most ${issue.maximum}`;
    case 'unrecognized_keys':
      return `${path} has unknown keys: ${issue.keys.join(', ')}`;
    case 'invalid_format':
      return `${path} must be a valid ${issue.format}`;
    default:
      return `${path} is not allowed (${issue.code})`;
  }
}
