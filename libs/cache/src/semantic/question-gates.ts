import { CHINESE_ANTONYMS } from './chinese-words.js';
import { ENGLISH_ANTONYMS, ENGLISH_NEGATING_PREFIXES, ENGLISH_TURNING_WORDS } from './english-words.js';
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
  /** Nothing speaks against it; the similarity decides, which has to be this high whatever the threshold is. */
  | { readonly kind: 'possible'; readonly atLeast: number }
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
  if (left.words.length === 0 || right.words.length === 0) return different('subject');
  if (left.negations % 2 !== right.negations % 2 || areOpposed(left, right)) return different('polarity');
  if (!negateTheSame(left, right)) return different('polarity');
  // "A and B" are "B and A", but not where more is said of either.
  const orderless = left.kind === 'compare' && left.attributes.length + right.attributes.length === 0;
  if (!(orderless ? sameItems : sameSequence)(left.numbers, right.numbers)) return different('numbers');
  if (!sameKind(left.kind, right.kind) || left.modal !== right.modal) return different('kind');
  if (left.past !== right.past) return different('tense');
  if (!sameSequence(left.pointers, right.pointers)) return different('person');
  const compound = isCompoundOf(left, right) || isCompoundOf(right, left);
  if (!compound && !sameSequence(left.relations, right.relations)) return different('roles');
  if (!sameItems(left.signs, right.signs)) return different('subject');
  const extra = [...missing(left, right), ...missing(right, left)];
  if (extra.length > 1 || extra.some((word) => isTelling(word, left, right))) return different('subject');
  if (!orderless && !compound && !sameOrder(left.sequence, right.sequence)) return different('roles');
  return { kind: 'possible', atLeast: extra.length === 0 ? 0 : ONE_WORD_MORE };
}

/**
 * Similarity from which one word more on one side, which is no name, number or opposite, counts as an aside. It
 * takes a long question to be that similar.
 */
const ONE_WORD_MORE = 0.98;

function sameKind(left: QuestionKind, right: QuestionKind): boolean {
  return left === right || ALIKE.some((pair) => pair.includes(left) && pair.includes(right));
}

/** A word that cannot be an aside: a name, one that has an opposite, or one that turns or narrows another. */
function isTelling(word: string, ...forms: readonly QuestionForm[]): boolean {
  return (
    forms.some(({ names }) => names.has(word)) ||
    ENGLISH_ANTONYMS.has(word) ||
    ENGLISH_TURNING_WORDS.has(word)
  );
}

/** Whether the same parts are negated. The place of a "not" that opens a clause tells nothing: "doesn't it". */
function negateTheSame(left: QuestionForm, right: QuestionForm): boolean {
  const [first, second] = [left.negatedAfter, right.negatedAfter];
  return (
    sameSequence(left.negatedClauses, right.negatedClauses) &&
    first.length === second.length &&
    first.every((count, index) => count === second[index] || count === 0 || second[index] === 0)
  );
}

function sameSequence<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
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

/** The words that say what `asked` is about and do not occur in `other`. */
function missing(asked: QuestionForm, other: QuestionForm): readonly string[] {
  return asked.subjects.filter((word) => !occurs(word, other));
}

function occurs(word: string, form: QuestionForm): boolean {
  if (form.vocabulary.has(word)) return true;
  // Spelled together or apart. A letter's difference is not forgiven: "nitrite" is no misspelt "nitrate".
  return form.language === 'zh' ? form.text.includes(word) : form.compounds.has(word);
}

/** The words both are about come in the same order: "from A to B" is not "from B to A". */
function sameOrder(left: readonly string[], right: readonly string[]): boolean {
  const first = left.filter((word) => right.includes(word));
  const second = right.filter((word) => left.includes(word));
  return first.length === second.length && first.every((word, index) => word === second[index]);
}

/** `compound` has before a noun what `phrase` has after it, and is otherwise the same in the same order. */
function isCompoundOf(phrase: QuestionForm, compound: QuestionForm): boolean {
  const [phrased, compounded] = [phrase, compound].map(({ words, relations }) =>
    words.filter((word) => !relations.includes(word)),
  ) as [string[], string[]];
  if (phrased.length !== compounded.length) return false;
  if (phrase.attributes.length <= compound.attributes.length) return false;
  return phrase.attributes.some(({ relation, head, object }) => {
    const remaining = removing(phrase.relations, [relation]);
    if (!sameItems(remaining, compound.relations)) return false;
    const noun = compounded.indexOf(head);
    const start = compounded.findIndex(
      (_, index) => index < noun && object.every((word, at) => compounded[index + at] === word),
    );
    const gap = noun - start - object.length;
    if (start < 0 || gap < 0 || gap > 2) return false;
    const rest = [...compounded.slice(0, start), ...compounded.slice(start + object.length)];
    const expected = removing(phrased, object);
    return rest.every((word, index) => word === expected[index]);
  });
}

/** `items` without the last occurrence of each of `others`. */
function removing(items: readonly string[], others: readonly string[]): string[] {
  const result = [...items];
  for (const other of others) {
    const index = result.lastIndexOf(other);
    if (index >= 0) result.splice(index, 1);
  }
  return result;
}
