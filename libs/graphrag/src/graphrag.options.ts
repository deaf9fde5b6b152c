import { z } from 'zod';
import { GraphragOptionsInvalidError } from './errors.js';

const fraction = z.number().min(0).max(1);
const count = (most: number) => z.int().min(1).max(most);

/** Options of `@sparkle/graphrag`; every field has a default. */
export const graphragOptionsSchema = z.strictObject({
  /** Largest document accepted, in bytes. Default 5 MiB. */
  maxDocumentBytes: count(64 * 1024 * 1024).default(5 * 1024 * 1024),
  /** Passages embedded and stored per call. A crash repeats at most one batch. Default 64. */
  embedBatchSize: count(1024).default(64),
  /** Documents that share a step's transaction in `ingestMany`. Default 100. */
  bulkBatchSize: count(1000).default(100),
  /** Bytes that all tenants' graph snapshots may take in this process. Default 512 MiB. */
  snapshotMaxBytes: count(64 * 1024 ** 3).default(512 * 1024 * 1024),
  /**
   * Share of the time that rebuilding one tenant's large graph for new documents may take; 1 rebuilds at once.
   * Graphs that build within half a second always are, and deletions always count at once. Default 0.1.
   */
  snapshotBuildShare: z.number().min(0.01).max(1).default(0.1),
  /** Candidates HNSW search looks at (pgvector's `hnsw.ef_search`). Default 100. */
  efSearch: count(1000).default(100),
  /** Passages retrieved when a caller does not say. Default 10. */
  k: count(100).default(10),
  /** Tokens of context a model gets when a caller does not say. Default 600. */
  tokenBudget: z.int().min(50).max(100_000).default(600),
  /** Longest question, in UTF-16 units. Default 4,000. */
  maxQuestionLength: count(100_000).default(4000),
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
