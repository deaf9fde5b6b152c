import { SeededRandom } from '@sparkle/contracts';
import { describe, expect, it } from 'vitest';
import type { EvaluationQuestion } from './read-data.js';
import { type EvaluatedAnswer, runAnswersEval } from './run-answers-eval.js';

const corpus = ['Rosa Lind', 'Ada Quist', 'Tom Reed', 'nobody'].map((name, index) => ({
  id: `p${index}`,
  title: `Town ${index}`,
  text: `Town ${index} was founded by ${name}.`,
}));
const questions: EvaluationQuestion[] = ['Rosa Lind', 'Ada Quist', 'Tom Reed'].map((answer, index) => ({
  id: `q${index}`,
  question: `Who founded town ${index}?`,
  answer,
  aliases: [],
  type: 'all',
  gold: [`p${index}`],
}));

/** A system that knows every passage that is not forgotten, or answers with the last one whatever is asked. */
function answering(forgotten: ReadonlySet<string>, knows: boolean) {
  return async (question: string): Promise<EvaluatedAnswer> => {
    const index = knows ? Number(/\d/.exec(question)![0]) : 3;
    const documentId = `d${index}`;
    const supported = !forgotten.has(documentId);
    const quote = corpus[index]!.text;
    return {
      answer: supported ? `${quote} [C1]` : 'The material does not say.',
      citations: supported
        ? [{ marker: 'C1', chunkId: 'c', documentId, documentTitle: `Town ${index}`, quote }]
        : [],
      context: supported ? [{ documentId, text: quote }] : [],
      supported,
      paths: [],
      retrieval: { durationMs: 2, contextTokens: 7 },
      usage: { inputTokens: 7, outputTokens: 5, costUsd: 0 },
    } as unknown as EvaluatedAnswer;
  };
}

async function evaluate() {
  const forgotten = new Set<string>();
  const { rows, gain } = await runAnswersEval({
    data: 'tiny',
    corpus,
    questions,
    ingest: async (passages) => new Map(passages.map(({ id }) => [id, id.replace('p', 'd')])),
    answer: { plain: answering(forgotten, false), graph: answering(forgotten, true) },
    forget: async (ids) => {
      for (const id of ids) forgotten.add(id);
    },
    unanswerableShare: 0.4,
    random: new SeededRandom(7),
  });
  const value = (system: string, metric: string) =>
    rows.find((row) => row.system === system && row.metric === metric)?.value;
  return { value, gain, rows };
}

describe('the evaluation of answers', () => {
  it('scores right answers and right citations fully, and those of another passage not at all', async () => {
    const { value } = await evaluate();
    for (const metric of ['contains_answer', 'answer_in_context', 'context_relevance', 'citation_precision'])
      expect([metric, value('graph', metric), value('plain', metric)]).toEqual([metric, 100, 0]);
    expect(value('graph', 'exact_match')).toBe(0);
    expect(value('graph', 'f1')).toBeGreaterThan(value('plain', 'f1')!);
    expect(value('graph', 'context_tokens')).toBe(7);
  });

  it('asks again without the passages, and counts who says that it does not know', async () => {
    const { value, rows } = await evaluate();
    expect(value('graph', 'refused')).toBe(100);
    expect(value('plain', 'refused')).toBe(0);
    const asked = rows.find(({ metric }) => metric === 'answered')!.n;
    const taken = rows.find(({ metric }) => metric === 'refused')!.n;
    expect(asked + taken).toBe(questions.length);
  });

  it('gives the difference of the systems with its interval', async () => {
    const { gain } = await evaluate();
    expect(gain.contains_answer).toEqual({ mean: 100, low: 100, high: 100 });
    expect(gain.exact_match).toEqual({ mean: 0, low: 0, high: 0 });
  });
});
