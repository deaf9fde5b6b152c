import type { Answer } from '@sparkle/graphrag';

/** Where an answer came from: `exact` and `semantic` are caches, `miss` was made for this question. */
export type CacheOutcome = 'exact' | 'semantic' | 'miss';

/** What `POST /v1/answers` returns. */
export interface AnswerView extends Omit<Answer, 'retrieval'> {
  readonly cache: CacheOutcome;
  /** For `POST /v1/feedback`; absent for an answer that did not come from a cache. */
  readonly cacheEntry?: string;
  /** Another model than the configured one answered, because that one failed. */
  readonly fallback: boolean;
  readonly retrieval: Answer['retrieval'] & { readonly milliseconds: number };
}

/** @param model the configured model's name. */
export function answerView(
  answer: Answer,
  model: string,
  cache: CacheOutcome,
  cacheEntry?: string,
): AnswerView {
  return {
    ...answer,
    fallback: answer.model !== model,
    retrieval: { ...answer.retrieval, milliseconds: answer.retrieval.durationMs },
    cache,
    ...(cacheEntry === undefined ? {} : { cacheEntry }),
  };
}
