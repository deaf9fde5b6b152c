import type { Random } from '@sparkle/contracts';
import type { RetrievalResult } from '../model.js';
import { bootstrapDifference, type ConfidenceInterval, mean, percentile, recallAt } from './metrics.js';
import type { CorpusPassage, EvaluationQuestion } from './read-data.js';

/** One figure; recalls in percent, times in milliseconds. `n` is the number of questions behind it. */
export interface EvaluationRow {
  readonly data: string;
  readonly system: EvaluatedSystem;
  readonly metric: string;
  readonly value: number;
  readonly n: number;
}

export type EvaluatedSystem = 'plain' | 'graph';

/** Retrieves for a question; `limit` chunks at most. */
export type EvaluatedRetrieval = (question: string, limit: number) => Promise<RetrievalResult>;

export interface RetrievalEvaluationInput {
  /** Name of the data set in the rows. */
  readonly data: string;
  readonly corpus: readonly CorpusPassage[];
  readonly questions: readonly EvaluationQuestion[];
  /** Stores each passage as one document with the passage's title; resolves to passage id → document id. */
  readonly ingest: (corpus: readonly CorpusPassage[]) => Promise<ReadonlyMap<string, string>>;
  readonly retrieve: Readonly<Record<EvaluatedSystem, EvaluatedRetrieval>>;
  /** Tokens of the context a model would be given for a result. */
  readonly contextTokens: (question: string, result: RetrievalResult) => number;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

export interface RetrievalEvaluation {
  readonly rows: readonly EvaluationRow[];
  /** Graph minus plain in percentage points, with 95 % intervals. */
  readonly gain: Readonly<Record<`recall@${(typeof RECALL_DEPTHS)[number]}`, ConfidenceInterval>>;
}

export const RECALL_DEPTHS = [2, 5, 10] as const;
/** Chunks asked for: several may come from one document, so more than the deepest recall needs. */
const CHUNKS_PER_QUESTION = 20;

/**
 * Measures plain and graph retrieval over the same questions. Documents are ranked by their best chunk. Besides
 * the rows of all questions there are recalls per question type, as `recall@5:bridge`, when there is more than
 * one type.
 */
export async function runRetrievalEval(input: RetrievalEvaluationInput): Promise<RetrievalEvaluation> {
  const documentOf = await input.ingest(input.corpus);
  const rows: EvaluationRow[] = [];
  const recalls = { plain: new Map<number, number[]>(), graph: new Map<number, number[]>() };
  for (const system of ['plain', 'graph'] as const) {
    const outcomes = await measure(input, system, documentOf);
    const n = outcomes.length;
    const row = (metric: string, value: number, count = n) => {
      rows.push({ data: input.data, system, metric, value, n: count });
    };
    for (const depth of RECALL_DEPTHS) {
      const values = outcomes.map((outcome) => percentRecall(outcome, depth));
      recalls[system].set(depth, values);
      row(`recall@${depth}`, mean(values));
    }
    row(
      'p50_ms',
      percentile(
        outcomes.map(({ durationMs }) => durationMs),
        0.5,
      ),
    );
    row(
      'p95_ms',
      percentile(
        outcomes.map(({ durationMs }) => durationMs),
        0.95,
      ),
    );
    row('tokens', mean(outcomes.map(({ tokens }) => tokens)));
    const types = [...new Set(outcomes.map(({ type }) => type))].sort();
    if (types.length < 2) continue;
    for (const type of types) {
      const ofType = outcomes.filter((outcome) => outcome.type === type);
      for (const depth of RECALL_DEPTHS) {
        row(
          `recall@${depth}:${type}`,
          mean(ofType.map((outcome) => percentRecall(outcome, depth))),
          ofType.length,
        );
      }
    }
  }
  const gainAt = (depth: number) =>
    bootstrapDifference(recalls.graph.get(depth)!, recalls.plain.get(depth)!, input.random);
  return { rows, gain: { 'recall@2': gainAt(2), 'recall@5': gainAt(5), 'recall@10': gainAt(10) } };
}

interface Outcome {
  readonly ranked: readonly string[];
  readonly gold: readonly string[];
  readonly type: string;
  readonly durationMs: number;
  readonly tokens: number;
}

function percentRecall({ ranked, gold }: Outcome, depth: number): number {
  return 100 * recallAt(ranked, gold, depth);
}

async function measure(
  input: RetrievalEvaluationInput,
  system: EvaluatedSystem,
  documentOf: ReadonlyMap<string, string>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { question, gold, type } of input.questions) {
    input.signal?.throwIfAborted();
    const result = await input.retrieve[system](question, CHUNKS_PER_QUESTION);
    outcomes.push({
      ranked: [...new Set(result.chunks.map((chunk) => chunk.documentId))],
      gold: gold.map((passage) => documentOf.get(passage) ?? `missing passage ${passage}`),
      type,
      durationMs: result.durationMs,
      tokens: input.contextTokens(question, result),
    });
  }
  return outcomes;
}
