import type { Random } from '@sparkle/contracts';
import type { RetrievalResult } from '../model.js';
import { bootstrapDifference, type ConfidenceInterval, mean, percentile, recallAt } from './metrics.js';
import type { CorpusPassage, EvaluationQuestion } from './read-data.js';

/** One figure; recalls and shares in percent, times in milliseconds. `n` is the number of questions behind it. */
export interface EvaluationRow {
  readonly data: string;
  /** The system, or `graph-plain` for their difference in percentage points. */
  readonly system: string;
  readonly metric: string;
  readonly value: number;
  readonly n: number;
  /** Ends of the 95 % interval of a difference. */
  readonly low?: number;
  readonly high?: number;
}

export type EvaluatedSystem = 'plain' | 'graph';

/** Retrieves for a question; `limit` chunks at most. */
export type EvaluatedRetrieval = (question: string, limit: number) => Promise<RetrievalResult>;

/** The context that a model would be given for a result. */
export interface GivenContext {
  readonly tokens: number;
  /** Documents of which a passage is given uncut. */
  readonly documentIds: ReadonlySet<string>;
}

export interface RetrievalEvaluationInput {
  /** Name of the data set in the rows. */
  readonly data: string;
  readonly corpus: readonly CorpusPassage[];
  readonly questions: readonly EvaluationQuestion[];
  /** Stores each passage as one document with the passage's title; resolves to passage id → document id. */
  readonly ingest: (corpus: readonly CorpusPassage[]) => Promise<ReadonlyMap<string, string>>;
  readonly retrieve: Readonly<Record<EvaluatedSystem, EvaluatedRetrieval>>;
  /** Further systems by name, such as the graph without one of its parts; measured in the same way. */
  readonly variants?: Readonly<Record<string, EvaluatedRetrieval>>;
  /** The context of a result within the token budget that is the same for all systems. */
  readonly context: (question: string, result: RetrievalResult) => GivenContext;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

export interface RetrievalEvaluation {
  readonly rows: readonly EvaluationRow[];
  /** Graph minus plain in percentage points, with 95 % intervals, by metric. */
  readonly gain: Readonly<Record<string, ConfidenceInterval>>;
  /** Of each system one outcome per question, in the order of the questions. */
  readonly outcomes: Readonly<Record<string, readonly RetrievalOutcome[]>>;
}

/** What a system found for a question. */
export interface RetrievalOutcome {
  readonly question: EvaluationQuestion;
  /** For each gold passage its place among the documents found, from 1; 0 when it is not among them. */
  readonly goldRanks: readonly number[];
  /** In percent. */
  readonly scores: Readonly<Record<string, number>>;
  readonly result: RetrievalResult;
  readonly tokens: number;
}

export const RECALL_DEPTHS = [2, 5, 10] as const;
/** Chunks asked for: several may come from one document, so more than the deepest recall needs. */
const CHUNKS_PER_QUESTION = 20;

/**
 * Measures plain and graph retrieval over the same questions. Documents are ranked by their best chunk.
 *
 * - `recall@k`: gold passages among the first k documents
 * - `gold_in_budget`: questions whose gold passages are all given, uncut, in the context
 * - `p50_ms`, `p95_ms`, `tokens`
 *
 * The first two also per type of question, as `recall@5:bridge`, and per number of gold passages, as
 * `recall@5:2 gold`, when there is more than one.
 */
export async function runRetrievalEval(input: RetrievalEvaluationInput): Promise<RetrievalEvaluation> {
  const documentOf = await input.ingest(input.corpus);
  const { data, random } = input;
  const systems = Object.entries({ ...input.retrieve, ...input.variants });
  const outcomes: Record<string, readonly RetrievalOutcome[]> = {};
  const rows: EvaluationRow[] = [];
  for (const [system, retrieve] of systems) {
    const measured = await measure(input, retrieve, documentOf);
    outcomes[system] = measured;
    for (const [metric, values] of figures(measured))
      rows.push({ data, system, metric, value: mean(values), n: values.length });
    const times = measured.map(({ result }) => result.durationMs);
    const n = measured.length;
    rows.push({ data, system, metric: 'p50_ms', value: percentile(times, 0.5), n });
    rows.push({ data, system, metric: 'p95_ms', value: percentile(times, 0.95), n });
    rows.push({ data, system, metric: 'tokens', value: mean(measured.map(({ tokens }) => tokens)), n });
  }
  const plain = figures(outcomes.plain!);
  const gain: Record<string, ConfidenceInterval> = {};
  for (const [metric, values] of figures(outcomes.graph!)) {
    const interval = bootstrapDifference(values, plain.get(metric)!, random);
    gain[metric] = interval;
    const { mean: value, low, high } = interval;
    rows.push({ data, system: 'graph-plain', metric, value, n: values.length, low, high });
  }
  return { rows, gain, outcomes };
}

/** Each score's values: of all questions, then per type and per number of gold passages. */
function figures(outcomes: readonly RetrievalOutcome[]): Map<string, number[]> {
  const values = new Map<string, number[]>();
  const addGroup = (of: readonly RetrievalOutcome[], suffix: string) => {
    for (const metric of Object.keys(of[0]?.scores ?? {}))
      values.set(
        `${metric}${suffix}`,
        of.map(({ scores }) => scores[metric]!),
      );
  };
  addGroup(outcomes, '');
  for (const groupOf of [
    ({ question }: RetrievalOutcome) => question.type,
    ({ question }: RetrievalOutcome) => `${question.gold.length} gold`,
  ]) {
    const groups = [...new Set(outcomes.map(groupOf))].sort();
    if (groups.length < 2) continue;
    for (const group of groups)
      addGroup(
        outcomes.filter((outcome) => groupOf(outcome) === group),
        `:${group}`,
      );
  }
  return values;
}

async function measure(
  input: RetrievalEvaluationInput,
  retrieve: EvaluatedRetrieval,
  documentOf: ReadonlyMap<string, string>,
): Promise<RetrievalOutcome[]> {
  const outcomes: RetrievalOutcome[] = [];
  for (const question of input.questions) {
    input.signal?.throwIfAborted();
    const result = await retrieve(question.question, CHUNKS_PER_QUESTION);
    const ranked = [...new Set(result.chunks.map((chunk) => chunk.documentId))];
    const gold = question.gold.map((passage) => documentOf.get(passage) ?? `missing passage ${passage}`);
    const { tokens, documentIds } = input.context(question.question, result);
    const scores: Record<string, number> = {};
    for (const depth of RECALL_DEPTHS) scores[`recall@${depth}`] = 100 * recallAt(ranked, gold, depth);
    scores.gold_in_budget = gold.every((document) => documentIds.has(document)) ? 100 : 0;
    const goldRanks = gold.map((document) => ranked.indexOf(document) + 1);
    outcomes.push({ question, goldRanks, scores, result, tokens });
  }
  return outcomes;
}
