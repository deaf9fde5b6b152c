import type { Random } from '@sparkle/contracts';
import type { Answer } from '../nest/answer.service.js';
import { answerF1, containsAnswer, isExactMatch, withoutMarkers } from './answer-metrics.js';
import { bootstrapDifference, type ConfidenceInterval, mean, percentile } from './metrics.js';
import type { CorpusPassage, EvaluationQuestion } from './read-data.js';
import type { EvaluatedSystem, EvaluationRow } from './run-retrieval-eval.js';

/** An answer, and the passages the model was given. */
export interface EvaluatedAnswer extends Answer {
  /** Documents of the passages in the context, one entry per passage, and the text given. */
  readonly context: readonly { readonly documentId?: string | undefined; readonly text: string }[];
}

export interface AnswersEvaluationInput {
  /** Name of the data set in the rows. */
  readonly data: string;
  readonly corpus: readonly CorpusPassage[];
  readonly questions: readonly EvaluationQuestion[];
  /** Stores each passage as one document; resolves to passage id → document id. */
  readonly ingest: (corpus: readonly CorpusPassage[]) => Promise<ReadonlyMap<string, string>>;
  readonly answer: Readonly<Record<EvaluatedSystem, (question: string) => Promise<EvaluatedAnswer>>>;
  /** Deletes documents, so that questions become unanswerable. */
  readonly forget: (documentIds: readonly string[]) => Promise<void>;
  /** Share of the questions that is made unanswerable. Default 0.2. */
  readonly unanswerableShare?: number;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

export interface AnswersEvaluation {
  readonly rows: readonly EvaluationRow[];
  /** Graph minus plain with 95 % intervals, by metric. */
  readonly gain: Readonly<Record<string, ConfidenceInterval>>;
}

const SYSTEMS = ['plain', 'graph'] as const;
const YES_NO = /^(?:yes|no)$/i;

/** What is measured of one answer, each in percent; absent where it does not apply. */
type Scores = Readonly<Record<string, number | undefined>>;

/**
 * Measures the answers of plain and graph retrieval with the same model over the same questions:
 *
 * - `exact_match`, `f1`: the answer against the expected ones; a model that answers in sentences has no exact match
 * - `contains_answer`: an expected answer stands in the answer; `answer_in_context`: in what the model was given
 *   (both without yes-or-no questions)
 * - `context_relevance`: passages of the context that come from a gold passage
 * - `citation_precision`, `citation_recall`: cited documents that are gold, and gold that is cited
 * - `answered`: answerable questions that are answered at all
 * - `refused`: of the questions whose gold passages were deleted, those answered with "does not know"
 */
export async function runAnswersEval(input: AnswersEvaluationInput): Promise<AnswersEvaluation> {
  const documentOf = await input.ingest(input.corpus);
  const unanswerable = chooseUnanswerable(input);
  const answerable = input.questions.filter((question) => !unanswerable.has(question));
  const rows: EvaluationRow[] = [];
  const scores = new Map<EvaluatedSystem, Scores[]>();
  for (const system of SYSTEMS) {
    const answers: { scores: Scores; answer: EvaluatedAnswer }[] = [];
    for (const question of answerable) {
      input.signal?.throwIfAborted();
      const answer = await input.answer[system](question.question);
      const gold = new Set(question.gold.map((passage) => documentOf.get(passage) ?? `missing ${passage}`));
      answers.push({ answer, scores: scoresOf(answer, question, gold) });
    }
    scores.set(
      system,
      answers.map((one) => one.scores),
    );
    rows.push(...systemRows(input.data, system, answers));
  }
  await input.forget(
    [...unanswerable].flatMap(({ gold }) => gold.flatMap((passage) => documentOf.get(passage) ?? [])),
  );
  for (const system of SYSTEMS) {
    const refused: number[] = [];
    for (const { question } of unanswerable) {
      input.signal?.throwIfAborted();
      refused.push((await input.answer[system](question)).supported ? 0 : 100);
    }
    if (refused.length > 0)
      rows.push({ data: input.data, system, metric: 'refused', value: mean(refused), n: refused.length });
  }
  return { rows, gain: gains(scores.get('plain')!, scores.get('graph')!, input.random) };
}

function scoresOf(answer: EvaluatedAnswer, question: EvaluationQuestion, gold: ReadonlySet<string>): Scores {
  const expected = [question.answer, ...question.aliases];
  const said = withoutMarkers(answer.answer);
  const open = !YES_NO.test(question.answer);
  const cited = [...new Set(answer.citations.map(({ documentId }) => documentId))];
  const given = answer.context.filter(({ documentId }) => documentId !== undefined);
  const percent = (part: number, whole: number) => (whole === 0 ? undefined : (100 * part) / whole);
  return {
    exact_match: isExactMatch(said, expected) ? 100 : 0,
    f1: answer.supported ? 100 * answerF1(said, expected) : 0,
    contains_answer: open ? (answer.supported && containsAnswer(said, expected) ? 100 : 0) : undefined,
    answer_in_context: open
      ? answer.context.some(({ text }) => containsAnswer(text, expected))
        ? 100
        : 0
      : undefined,
    context_relevance: percent(given.filter(({ documentId }) => gold.has(documentId!)).length, given.length),
    citation_precision: percent(cited.filter((id) => gold.has(id)).length, cited.length),
    citation_recall: percent(cited.filter((id) => gold.has(id)).length, gold.size),
    answered: answer.supported ? 100 : 0,
  };
}

function systemRows(
  data: string,
  system: EvaluatedSystem,
  answers: readonly { scores: Scores; answer: EvaluatedAnswer }[],
): EvaluationRow[] {
  const row = (metric: string, value: number, n = answers.length) => ({ data, system, metric, value, n });
  const metrics = Object.keys(answers[0]?.scores ?? {}).map((metric) => {
    const values = answers.flatMap(({ scores }) => scores[metric] ?? []);
    return row(metric, mean(values), values.length);
  });
  const durations = answers.map(({ answer }) => answer.retrieval.durationMs);
  return [
    ...metrics,
    row('context_tokens', mean(answers.map(({ answer }) => answer.retrieval.contextTokens))),
    row('answer_tokens', mean(answers.map(({ answer }) => answer.usage.outputTokens))),
    row('retrieval_p50_ms', percentile(durations, 0.5)),
    row('retrieval_p95_ms', percentile(durations, 0.95)),
  ];
}

function gains(
  plain: readonly Scores[],
  graph: readonly Scores[],
  random: Random,
): AnswersEvaluation['gain'] {
  return Object.fromEntries(
    Object.keys(plain[0] ?? {}).map((metric) => {
      const pairs = graph.flatMap((scores, index) => {
        const [ours, theirs] = [scores[metric], plain[index]![metric]];
        return ours === undefined || theirs === undefined ? [] : [[ours, theirs] as const];
      });
      const ours = pairs.map(([value]) => value);
      const theirs = pairs.map(([, value]) => value);
      return [metric, bootstrapDifference(ours, theirs, random)];
    }),
  );
}

/** Questions of which no gold passage is another question's too: taking their passages away leaves the others whole. */
function chooseUnanswerable(input: AnswersEvaluationInput): Set<EvaluationQuestion> {
  const uses = new Map<string, number>();
  for (const { gold } of input.questions)
    for (const passage of new Set(gold)) uses.set(passage, (uses.get(passage) ?? 0) + 1);
  const share = input.unanswerableShare ?? 0.2;
  return new Set(
    input.questions.filter(
      ({ gold }) => gold.every((passage) => uses.get(passage) === 1) && input.random.next() < share,
    ),
  );
}
