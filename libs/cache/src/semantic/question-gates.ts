import { CHINESE_ANTONYMS } from './chinese-words.js';
import { ENGLISH_ANTONYMS, ENGLISH_NEGATING_PREFIXES } from './english-words.js';
import type { QuestionForm, QuestionKind } from './question-form.js';

/** Why two questions are not the same whatever their embeddings say. */
export type GateReason =
  | 'language'
  | 'polarity'
  | 'numbers'
  | 'subject'
  | 'roles'
  | 'kind'
  | 'person'
  | 'tense';

export type GateVerdict =
  /** Differ only in how they are put. */
  | { readonly kind: 'equivalent' }
  /** Nothing speaks against it; the similarity decides. */
  | { readonly kind: 'possible' }
  | { readonly kind: 'different'; readonly reason: GateReason };

const different = (reason: GateReason): GateVerdict => ({ kind: 'different', reason });

/** Kinds that ask the same about the same words. */
const ALIKE: readonly (readonly [QuestionKind, QuestionKind])[] = [
  ['define', 'which'],
  ['define', 'other'],
];

/** Compares two questions by rules; embeddings are too forgiving about opposites, numbers, names and roles. */
export function compareQuestions(left: QuestionForm, right: QuestionForm): GateVerdict {
  if (left.normalised === right.normalised || left.canonical === right.canonical)
    return { kind: 'equivalent' };
  if (left.language !== right.language) return different('language');
  if (left.negations % 2 !== right.negations % 2 || areOpposed(left, right)) return different('polarity');
  if (!sameItems(left.numbers, right.numbers)) return different('numbers');
  if (!sameKind(left.kind, right.kind) || left.modal !== right.modal) return different('kind');
  if (left.past !== right.past) return different('tense');
  if (!sameItems(left.pointers, right.pointers)) return different('person');
  if (!sameItems(left.relations, right.relations)) return different('roles');
  if (!sameItems(left.signs, right.signs)) return different('subject');
  if (misses(left, right) || misses(right, left)) return different('subject');
  if (left.kind !== 'compare' && !sameOrder(left, right)) return different('roles');
  return { kind: 'possible' };
}

function sameKind(left: QuestionKind, right: QuestionKind): boolean {
  return left === right || ALIKE.some((pair) => pair.includes(left) && pair.includes(right));
}

function sameItems(left: readonly string[], right: readonly string[]): boolean {
  if (left.length !== right.length) return false;
  const sorted = [...right].sort();
  return [...left].sort().every((item, index) => item === sorted[index]);
}

function areOpposed(left: QuestionForm, right: QuestionForm): boolean {
  if (left.language === 'zh')
    return CHINESE_ANTONYMS.some(
      ([word, opposite]) => onlyIn(left, right, word, opposite) || onlyIn(right, left, word, opposite),
    );
  for (const word of left.vocabulary) {
    if (right.vocabulary.has(word)) continue;
    for (const opposite of ENGLISH_ANTONYMS.get(word) ?? [])
      if (right.vocabulary.has(opposite) && !left.vocabulary.has(opposite)) return true;
    for (const prefix of ENGLISH_NEGATING_PREFIXES) {
      if (word.length > 3 && right.vocabulary.has(prefix + word)) return true;
      if (word.startsWith(prefix) && word.length - prefix.length > 3) {
        if (right.vocabulary.has(word.slice(prefix.length))) return true;
      }
    }
  }
  return false;
}

/** `one` has the word and not its opposite, `other` the opposite and not the word. */
function onlyIn(one: QuestionForm, other: QuestionForm, word: string, opposite: string): boolean {
  return (
    contains(one, word, opposite) &&
    !contains(one, opposite, word) &&
    contains(other, opposite, word) &&
    !contains(other, word, opposite)
  );
}

/** A word inside its own opposite ("监督" in "无监督") does not count; single characters must be words. */
function contains(form: QuestionForm, word: string, opposite: string): boolean {
  if (word.length === 1) return form.vocabulary.has(word);
  const text = opposite.includes(word) ? form.text.replaceAll(opposite, '') : form.text;
  return text.includes(word);
}

/** One of the words that say what `asked` is about does not occur in `other`. */
function misses(asked: QuestionForm, other: QuestionForm): boolean {
  return asked.subjects.some((word) => !occurs(word, other));
}

function occurs(word: string, form: QuestionForm): boolean {
  if (form.vocabulary.has(word)) return true;
  if (form.language === 'zh') return form.text.includes(word);
  // Spelled together, apart or with a slip of one letter in a long word.
  if (form.compounds.has(word)) return true;
  return word.length >= 6 && form.subjects.some((other) => isSlip(word, other));
}

/** One letter added, missing, replaced, or two neighbours swapped; the first and the last two letters stay. */
function isSlip(left: string, right: string): boolean {
  if (
    left[0] !== right[0] ||
    left.slice(-2) !== right.slice(-2) ||
    Math.abs(left.length - right.length) > 1 ||
    /\d/.test(left + right)
  )
    return false;
  let start = 0;
  while (start < left.length && left[start] === right[start]) start++;
  let end = 0;
  const shorter = Math.min(left.length, right.length);
  while (end < shorter - start && left.at(-1 - end) === right.at(-1 - end)) end++;
  const leftRest = left.slice(start, left.length - end);
  const rightRest = right.slice(start, right.length - end);
  if (leftRest.length <= 1 && rightRest.length <= 1) return true;
  return leftRest.length === 2 && leftRest === [...rightRest].reverse().join('');
}

/** The words both are about come in the same order: "from A to B" is not "from B to A". */
function sameOrder(left: QuestionForm, right: QuestionForm): boolean {
  const shared = (form: QuestionForm, other: QuestionForm) =>
    form.subjects.filter((word) => other.subjects.includes(word));
  const first = shared(left, right);
  const second = shared(right, left);
  return first.length === second.length && first.every((word, index) => word === second[index]);
}
