import { z } from 'zod';
import { GraphragOptionsInvalidError } from './errors.js';

const fraction = z.number().min(0).max(1);
const count = (most: number) => z.int().min(1).max(most);

/** Options of `@sparkle/graphrag`; every field has a default. */
export const graphragOptionsSchema = z.strictObject({
  /** Largest document accepted, in bytes. Default 5 MiB. */
  maxDocumentBytes: count(64 * 1024 * 1024).default(5 * 1024 * 1024),
  /** Time in which an HTML or PDF file must be read, in milliseconds. Default 60,000. */
  readTimeoutMs: z.int().min(100).max(600_000).default(60_000),
  /** Memory that the process reading HTML and PDF files may take, in bytes; it needs about 100 MiB. Default 512 MiB. */
  readMaxMemoryBytes: z
    .int()
    .min(192 * 1024 * 1024)
    .max(8 * 1024 ** 3)
    .default(512 * 1024 * 1024),
  /** Documents a tenant may keep. Default 100,000. */
  maxDocumentsPerTenant: count(100_000_000).default(100_000),
  /** Bytes of documents a tenant may keep, as uploaded. Default 10 GiB. */
  maxBytesPerTenant: count(1024 ** 5).default(10 * 1024 ** 3),
  /** Who finds entities and relations: rules, at no cost, or the chat model, with rules where it cannot. Default `rules`. */
  extraction: z.enum(['rules', 'model']).default('rules'),
  /** What the chat model may take when it extracts. */
  modelExtraction: z
    .strictObject({
      /** Rounds that ask for what was missed. Default 1. */
      gleanings: z.int().min(0).max(5).default(1),
      /** Tokens of passages that share a call. Default 1,500. */
      batchTokens: count(100_000).default(1500),
      /** Times an answer is asked for until it can be used. Default 3. */
      attempts: count(10).default(3),
      /** Longest answer, in tokens. Default 4,096. */
      maxOutputTokens: z.int().min(256).max(100_000).default(4096),
      /** Calls under way for one document. Default 2. */
      parallelCalls: count(32).default(2),
      /** Tokens, in and out, that one document may take; rules extract from the rest. Default 1,000,000. */
      tokensPerDocument: count(1_000_000_000).default(1_000_000),
      /** US dollars that one document may take; rules extract from the rest. Default null: no bound. */
      usdPerDocument: z.number().positive().nullable().default(null),
      /** `retry` leaves a document to the queue while the model cannot be reached; `rules` goes on without. Default `retry`. */
      whenUnavailable: z.enum(['retry', 'rules']).default('retry'),
    })
    .prefault({}),
  /** Passages embedded and stored per call. A crash repeats at most one batch. Default 64. */
  embedBatchSize: count(1024).default(64),
  /** Documents that share a step's transaction in `ingestMany`. Default 100. */
  bulkBatchSize: count(1000).default(100),
  /** Bytes that all tenants' graph snapshots may take in this process. Default 512 MiB. */
  snapshotMaxBytes: count(64 * 1024 ** 3).default(512 * 1024 * 1024),
  /**
   * Bytes that one tenant's graph snapshot may take, and never more than `snapshotMaxBytes`. A graph over it is not
   * loaded: questions about it are answered over SQL. Default 256 MiB.
   */
  snapshotMaxTenantBytes: count(64 * 1024 ** 3).default(256 * 1024 * 1024),
  /**
   * Share of the time that rebuilding one tenant's large graph for new documents may take; 1 rebuilds at once.
   * Graphs that build within half a second always are, and deletions always count at once. Default 0.1.
   */
  snapshotBuildShare: z.number().min(0.01).max(1).default(0.1),
  /** Candidates HNSW search looks at (pgvector's `hnsw.ef_search`). Default 100. */
  efSearch: count(1000).default(100),
  /** Passages retrieved when a caller does not say. Default 10. */
  k: count(100).default(10),
  /** Time a reranker may take, in milliseconds; then the order stays as it was. Default 3 s. */
  rerankBudgetMs: count(60_000).default(3000),
  /** Tokens of context a model gets when a caller does not say. Default 600. */
  tokenBudget: z.int().min(50).max(100_000).default(600),
  /** Longest question, in UTF-16 units. Default 4,000. */
  maxQuestionLength: count(100_000).default(4000),
  /** Tokens of passages a model reads to summarise one community. Default 2,000. */
  communityInputTokens: z.int().min(200).max(100_000).default(2000),
  /** Tokens of one community's summary. Default 300. */
  communitySummaryTokens: z.int().min(50).max(4000).default(300),
  /** Points of one community's summary. Default 12. */
  communityPoints: count(50).default(12),
  /** Summaries one refresh makes for a tenant; the rest waits for the next. Default 200. */
  communitySummariesPerRefresh: count(100_000).default(200),
  /** Confidence from which learning paths follow a prerequisite. Default 0.8. */
  prerequisiteConfidence: fraction.default(0.8),
  /** Mastery level in `[0, 1]` from which a concept counts as mastered. Default 0.8. */
  masteryThreshold: fraction.default(0.8),
});

/** What an application passes in. */
export type GraphragOptionsInput = z.input<typeof graphragOptionsSchema>;
/** Options with every default filled in. */
export type GraphragOptions = z.output<typeof graphragOptionsSchema>;

/** Injection token of the parsed {@link GraphragOptions}. */
export const GraphragOptions = Symbol('GraphragOptions');

/**
 * Fills in defaults.
 * @throws GraphragOptionsInvalidError listing every wrong path, never a value.
 */
export function parseGraphragOptions(input: unknown): GraphragOptions {
  const parsed = graphragOptionsSchema.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  throw new GraphragOptionsInvalidError(
    parsed.error.issues.map((issue) => {
      const path = issue.path.join('.') || '(options)';
      return issue.code === 'unrecognized_keys'
        ? `${path}: unknown option ${issue.keys.join(', ')}`
        : `${path}: ${issue.message.replace(/, received .*/, '')}`;
    }),
  );
}
