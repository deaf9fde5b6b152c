import type { RetrievalResult } from '../model.js';
import { mean, recallAt } from './metrics.js';
import type { EvaluationQuestion } from './read-data.js';
import { REWORDINGS, type Rewording, rewordQuestion } from './reword-question.js';
import type { EvaluatedSystem, EvaluationRow } from './run-retrieval-eval.js';

export interface RewordingEvaluationInput {
  /** Name of the data set in the rows. */
  readonly data: string;
  readonly questions: readonly EvaluationQuestion[];
  /** Passage id → document id. */
  readonly documentOf: ReadonlyMap<string, string>;
  readonly retrieve: Readonly<
    Record<EvaluatedSystem, (question: string, limit: number) => Promise<Pick<RetrievalResult, 'chunks'>>>
  >;
  readonly signal?: AbortSignal;
}

const DEPTH = 5;
/** Several chunks may come from one document. */
const CHUNKS_PER_QUESTION = 20;

/**
 * How retrieval stands rewording: `recall@5` of the questions as they are and as `recall@5:polite`, `:careless`
 * and `:telegram`, and `same@5:…`, the share of the first five documents that stay. In percent.
 */
export async function runRewordingEval(input: RewordingEvaluationInput): Promise<EvaluationRow[]> {
  const rows: EvaluationRow[] = [];
  for (const system of ['plain', 'graph'] as const) {
    const recalls = new Map<Rewording | undefined, number[]>();
    const kept = new Map<Rewording, number[]>();
    for (const { question, gold } of input.questions) {
      const wanted = gold.map((passage) => input.documentOf.get(passage) ?? `missing ${passage}`);
      const original = await documentsFor(input, system, question);
      note(recalls, undefined, recallAt(original, wanted, DEPTH));
      for (const rewording of REWORDINGS) {
        const documents = await documentsFor(input, system, rewordQuestion(question, rewording));
        note(recalls, rewording, recallAt(documents, wanted, DEPTH));
        note(kept, rewording, recallAt(documents, original.slice(0, DEPTH), DEPTH));
      }
    }
    const row = (metric: string, values: readonly number[]) => {
      rows.push({ data: input.data, system, metric, value: 100 * mean(values), n: values.length });
    };
    for (const [rewording, values] of recalls)
      row(rewording === undefined ? `recall@${DEPTH}` : `recall@${DEPTH}:${rewording}`, values);
    for (const [rewording, values] of kept) row(`same@${DEPTH}:${rewording}`, values);
  }
  return rows;
}

async function documentsFor(
  input: RewordingEvaluationInput,
  system: EvaluatedSystem,
  question: string,
): Promise<string[]> {
  input.signal?.throwIfAborted();
  const { chunks } = await input.retrieve[system](question, CHUNKS_PER_QUESTION);
  return [...new Set(chunks.map(({ documentId }) => documentId))];
}

function note<Key>(values: Map<Key, number[]>, key: Key, value: number): void {
  const known = values.get(key);
  if (known) known.push(value);
  else values.set(key, [value]);
}
