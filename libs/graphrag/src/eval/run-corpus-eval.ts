import type { NameDictionary } from '../extract/name-dictionary.js';
import { nameUnits } from '../extract/name-dictionary.js';
import { mean } from './metrics.js';

/** What a system would answer from. */
export interface CorpusContext {
  readonly pieces: readonly { readonly text: string; readonly documentIds: readonly string[] }[];
  readonly tokens: number;
  readonly durationMs: number;
}

export interface CorpusEvaluationInput {
  readonly questions: readonly string[];
  readonly systems: Readonly<Record<string, (question: string) => Promise<CorpusContext>>>;
  /** What a document is a part of, e.g. its episode. */
  readonly sourceOf: (documentId: string) => string;
  /** Names of the corpus, for counting those a context mentions. */
  readonly names: NameDictionary;
  readonly embed: (texts: readonly string[]) => Promise<readonly Float32Array[]>;
}

/** Means over all questions. */
export interface CorpusEvaluationRow {
  readonly system: string;
  /** Distinct sources, documents and known names in the context. */
  readonly sources: number;
  readonly documents: number;
  readonly names: number;
  /** One less the mean cosine between two pieces of the context. */
  readonly diversity: number;
  /** Mean cosine between the question and a piece. */
  readonly relevance: number;
  readonly tokens: number;
  readonly p95Ms: number;
}

/**
 * How much of a collection contexts show, where questions about all of it have no gold answers: proxies only. A
 * context that shows more of the collection may still say less about the question; `relevance` is there to see it.
 */
export async function runCorpusEval(input: CorpusEvaluationInput): Promise<CorpusEvaluationRow[]> {
  const figures = new Map<string, Record<keyof Omit<CorpusEvaluationRow, 'system' | 'p95Ms'>, number>[]>();
  const durations = new Map<string, number[]>();
  for (const question of input.questions)
    for (const [system, retrieve] of Object.entries(input.systems)) {
      const context = await retrieve(question);
      const vectors = await input.embed([question, ...context.pieces.map(({ text }) => text)]);
      const [asked, ...pieces] = vectors;
      const documents = new Set(context.pieces.flatMap(({ documentIds }) => documentIds));
      const known = figures.get(system) ?? [];
      known.push({
        documents: documents.size,
        sources: new Set([...documents].map(input.sourceOf)).size,
        names: namesIn(context, input.names),
        diversity: 1 - meanPairCosine(pieces),
        relevance: mean(pieces.map((piece) => cosine(asked!, piece))),
        tokens: context.tokens,
      });
      figures.set(system, known);
      durations.set(system, [...(durations.get(system) ?? []), context.durationMs]);
    }
  return [...figures].map(([system, rows]) => {
    const of = (figure: keyof (typeof rows)[number]) => mean(rows.map((row) => row[figure]));
    const sorted = durations.get(system)!.sort((a, b) => a - b);
    return {
      system,
      sources: of('sources'),
      documents: of('documents'),
      names: of('names'),
      diversity: of('diversity'),
      relevance: of('relevance'),
      tokens: of('tokens'),
      p95Ms: sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))]!,
    };
  });
}

function namesIn(context: CorpusContext, names: NameDictionary): number {
  const found = new Set<number>();
  for (const { text } of context.pieces)
    for (const { ids } of names.findLongest(nameUnits(text))) for (const id of ids) found.add(id);
  return found.size;
}

function meanPairCosine(vectors: readonly Float32Array[]): number {
  const cosines: number[] = [];
  vectors.forEach((left, at) => {
    for (const right of vectors.slice(at + 1)) cosines.push(cosine(left, right));
  });
  return cosines.length === 0 ? 1 : mean(cosines);
}

function cosine(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i += 1) sum += left[i]! * right[i]!;
  return sum;
}
