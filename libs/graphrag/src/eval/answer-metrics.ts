import { foldText } from '../extract/entity-name.js';

const ARTICLES = /\b(?:a|an|the)\b/g;
const MARKERS = /\s?\[[PCG]\d{1,4}\]/g;
const PUNCTUATION = /[^\p{L}\p{N}\s]+/gu;
const CJK = /\p{Script=Han}/u;

/** An answer without the markers of its citations. */
export function withoutMarkers(answer: string): string {
  return answer.replace(MARKERS, '');
}

/**
 * The form in which answers are compared (Rajpurkar et al., SQuAD, 2016): folded, without punctuation, articles
 * and repeated spaces.
 */
export function normaliseAnswer(text: string): string {
  return foldText(text).replace(PUNCTUATION, '').replace(ARTICLES, ' ').replace(/\s+/g, ' ').trim();
}

/** Words; Chinese counts by character, having no spaces. */
function tokensOf(text: string): string[] {
  return normaliseAnswer(text)
    .split(' ')
    .flatMap((word) => (CJK.test(word) ? [...word] : word === '' ? [] : [word]));
}

/** True when the answer is one of the expected ones and nothing else. */
export function isExactMatch(answer: string, expected: readonly string[]): boolean {
  const said = normaliseAnswer(answer);
  return expected.some((one) => normaliseAnswer(one) === said);
}

/** True when one of the expected answers stands in the text as whole words. */
export function containsAnswer(text: string, expected: readonly string[]): boolean {
  const said = tokensOf(text);
  return expected.some((one) => {
    const wanted = tokensOf(one);
    return (
      wanted.length > 0 && said.some((_, at) => wanted.every((token, offset) => said[at + offset] === token))
    );
  });
}

/** The best F1 of the answer's words with an expected answer's, in `[0, 1]`; bags of words, as in SQuAD. */
export function answerF1(answer: string, expected: readonly string[]): number {
  return Math.max(0, ...expected.map((one) => f1(tokensOf(answer), tokensOf(one))));
}

function f1(said: readonly string[], wanted: readonly string[]): number {
  const left = new Map<string, number>();
  for (const token of wanted) left.set(token, (left.get(token) ?? 0) + 1);
  let shared = 0;
  for (const token of said) {
    const count = left.get(token) ?? 0;
    if (count === 0) continue;
    left.set(token, count - 1);
    shared += 1;
  }
  return shared === 0 ? 0 : (2 * shared) / (said.length + wanted.length);
}
