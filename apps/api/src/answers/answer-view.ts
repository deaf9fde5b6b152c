import type { Answer } from '@sparkle/graphrag';

/** Where an answer came from: `exact` and `semantic` are caches, `miss` was made for this question. */
export type CacheOutcome = 'exact' | 'semantic' | 'miss';

/** What `POST /v1/answers` returns. */
export interface AnswerView extends Omit<Answer, 'retrieval'> {
  readonly cache: CacheOutcome;
  readonly retrieval: Answer['retrieval'] & { readonly milliseconds: number };
}

export function answerView(answer: Answer, cache: CacheOutcome): AnswerView {
  return { ...answer, cache, retrieval: { ...answer.retrieval, milliseconds: answer.retrieval.durationMs } };
}
