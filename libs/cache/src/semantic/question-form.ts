import { chineseForm } from './chinese-form.js';
import { englishForm } from './english-form.js';
import { MAX_LENGTH, normalise } from './question-text.js';

/** What is asked about the content of a question. */
export type QuestionKind =
  | 'define'
  | 'how'
  | 'how-works'
  | 'purpose'
  | 'why'
  | 'when'
  | 'where'
  | 'who'
  | 'how-many'
  | 'how-degree'
  | 'which'
  | 'yes-no'
  | 'compare'
  | 'opinion'
  | 'experience'
  | 'consequence'
  | 'cost'
  | 'best'
  | 'other';

/** What a question says, as far as rules can tell. Words are stems in lower case. */
export interface QuestionForm {
  readonly language: 'en' | 'zh';
  /** The text without what never matters: case, spacing, width of characters, final punctuation. */
  readonly normalised: string;
  /** Equal for questions that differ only in how they are put. */
  readonly canonical: string;
  readonly kind: QuestionKind;
  readonly past: boolean;
  readonly negations: number;
  /** Which of the subordinate clauses are negated. */
  readonly negatedClauses: readonly number[];
  /** Subjects and numbers before each negation: "dogs that do not bark bite" is not "dogs that bark do not bite". */
  readonly negatedAfter: readonly number[];
  /** In the order of appearance. */
  readonly numbers: readonly string[];
  /** Content words in order. In Chinese they come from a word segmenter. */
  readonly words: readonly string[];
  /** Those that say what the question is about: names, and whatever is not a common word. */
  readonly subjects: readonly string[];
  /** Subjects and numbers in order. */
  readonly sequence: readonly string[];
  /** Words written like names. */
  readonly names: ReadonlySet<string>;
  /** Every word, stop words included. */
  readonly vocabulary: ReadonlySet<string>;
  /** Without courtesies and spaces, for looking up Chinese words whatever the segmentation. */
  readonly text: string;
  readonly modal: string;
  /** Words that point at someone or something outside of the question, in order. */
  readonly pointers: readonly string[];
  /** Signs that are not punctuation, as in formulas and code. */
  readonly signs: readonly string[];
  /** Neighbouring words written together. */
  readonly compounds: ReadonlySet<string>;
  /** Prepositions that change what is asked, in order. */
  readonly relations: readonly string[];
  /** Nouns with what a preposition says of them: "songs by Linkin Park". */
  readonly attributes: readonly Attribute[];
}

export interface Attribute {
  readonly relation: string;
  /** The word before the preposition. */
  readonly head: string;
  /** The words after it. */
  readonly object: readonly string[];
}

const HAN = /\p{Script=Han}/u;

/** Analyses a question in English or Chinese. Rules only: no model, no dictionary of the subject. */
export function questionForm(question: string): QuestionForm {
  const normalised = normalise(question);
  return HAN.test(normalised)
    ? chineseForm(normalised)
    : englishForm(question.normalize('NFKC').slice(0, MAX_LENGTH), normalised);
}
