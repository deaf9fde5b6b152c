import type { QuestionKind } from './question-form.js';

/** Characters of a question that are looked at. */
export const MAX_LENGTH = 2_000;

/** A question of nothing but function words is only itself. */
export function canonicalOf(normalised: string, put: string, words: readonly string[]): string {
  const content = words.join(' ').trim();
  return content === '' ? `= ${normalised}` : `${put}: ${content}`;
}

/** Without what never matters. */
export function normalise(question: string): string {
  return question
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[’‘`´]/g, "'")
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replace(/[\s?？!！.。…,，;；:：]+$/u, '')
    .slice(0, MAX_LENGTH);
}

/** Between numbers or variables, as in "5 - 3" and "x/y". */
export function operatorsIn(text: string): string {
  return (text.match(/(?<=(?:\d|\b\p{L})\s?)[-+*/=<>^×÷≤≥≠%]+(?=\s?(?:\d|\p{L}\b))/gu) ?? []).join('');
}

/** Signs of formulas and code. */
export function signsOf(text: string): string[] {
  return [...(text.match(/[^\p{L}\p{N}\p{P}\s]|[*()[\]{}#@&%/\\]/gu) ?? [])].sort();
}

/** A way to put a question. What its groups hold, in order, is what the question is about. */
export interface Frame {
  readonly pattern: RegExp;
  readonly kind: QuestionKind;
  /** A word of the content that the pattern paraphrases. */
  readonly implied: string;
}

/** @param implied a word of the content that the pattern paraphrases. */
export function frame(source: string, kind: QuestionKind, implied = ''): Frame {
  return { pattern: new RegExp(`^${source}$`), kind, implied };
}
