import { z } from 'zod';

export const semanticCacheOptionsSchema = z.strictObject({
  /** Similarity from which an entry may be served, unless its embedder states its own. */
  threshold: z.number().min(0).max(1).default(0.95),
  /** How long an answer lives, milliseconds. Default 24 h. A hit never prolongs it. */
  ttlMs: z
    .number()
    .int()
    .positive()
    .default(24 * 60 * 60 * 1000),
  /** By how much a bad hit raises the entry's threshold, and above the similarity it was served at. */
  tightenBy: z.number().positive().max(1).default(0.02),
  /** Nearest entries examined per question. */
  candidates: z.number().int().min(1).max(100).default(8),
  /** Longest time the search may delay an answer, milliseconds, embedding included. */
  searchBudgetMs: z.number().int().positive().default(1_000),
  /** Longest time storing an answer may take in the background, milliseconds. */
  storeBudgetMs: z.number().int().positive().default(5_000),
  /** Concurrent questions of one scope compared with each other. */
  maxConcurrentQuestions: z.number().int().positive().default(256),
  /** Longest question, characters; longer ones are answered without the cache. */
  maxQuestionLength: z.number().int().positive().default(2_000),
});

export type SemanticCacheOptions = z.output<typeof semanticCacheOptionsSchema>;
export type SemanticCacheOptionsInput = z.input<typeof semanticCacheOptionsSchema>;
