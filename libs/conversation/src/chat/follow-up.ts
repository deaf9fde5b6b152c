import type { LinkedEntity } from '../ports/retriever.port.js';
import { contentTerms } from '../text.js';

/** What the turn before was about. */
export interface PreviousTurn {
  /** Its retrieval query (the question, completed). */
  readonly query: string;
  readonly linked: readonly LinkedEntity[];
}

export interface StandaloneQuestion {
  /** What to search for. */
  readonly query: string;
  /** What was added; empty for a question that stands alone. */
  readonly appended: readonly string[];
}

const PRONOUN_EN =
  /\b(it|its|itself|they|them|their|theirs|these|those|he|him|his|she|her|hers|the (former|latter|same|first one|second one|other one))\b/i;
/** "this" and "that" point back when a verb, what is said of it, or the sentence's end follows, not before a noun or a clause. */
const DEMONSTRATIVE_EN =
  /\b(this|that)\b(?=\s*(?:[?.!,]|$|(?:is|are|was|were|does|do|did|has|have|can|could|will|would|works?|means?|relates?|compares?|happens?|happened|true|false|right|wrong|correct|possible|important|related|different|similar|connected|used|called)\b))/i;
const DUMMY_IT = /\b(is it (true|possible|correct|right) (that|to)|it is (true|possible) (that|to))\b/i;
const ELLIPSIS_EN =
  /^(and|but|or|so|then|also|what about|how about|what else|why|why not|how so|how come|really|for example|such as|tell me more|go on|more|continue|examples?|another( one)?)\b/i;
const PRONOUN_ZH =
  /它们?|他们?|她们?|这个|那个|这些|那些|这种|那种|前者|后者|上述|此(?!外)|其(?![他它实余中次])/u;
const ELLIPSIS_ZH =
  /^(那|那么|还有|然后|而且|所以|但是|可是|为什么|怎么|再|又|继续|比如|例如|举个例子)|^.{1,12}呢[?？]?$/u;

/** True for a question that only makes sense after the one before it. English and Chinese. */
export function isFollowUp(question: string): boolean {
  const text = question.trim();
  if (PRONOUN_ZH.test(text) || ELLIPSIS_ZH.test(text)) return true;
  if (DEMONSTRATIVE_EN.test(text)) return true;
  if (PRONOUN_EN.test(text.replace(DUMMY_IT, ''))) return true;
  const terms = contentTerms(text);
  if (ELLIPSIS_EN.test(text)) return terms.length <= 3;
  return terms.length === 0;
}

/**
 * Completes a follow-up with what the previous turn was about: the entities it was linked to, else its words.
 * A chain of follow-ups keeps its subject, because each turn hands on its completed query.
 */
export function standaloneQuestion(question: string, previous: PreviousTurn | undefined): StandaloneQuestion {
  if (!previous || !isFollowUp(question)) return { query: question, appended: [] };
  const lower = question.toLowerCase();
  const isNew = (term: string) => !lower.includes(term.toLowerCase());
  const entities = previous.linked
    .map((entity) => entity.name)
    .filter(isNew)
    .slice(0, 3);
  const appended = entities.length > 0 ? entities : contentTerms(previous.query).filter(isNew).slice(0, 6);
  return appended.length === 0
    ? { query: question, appended }
    : { query: `${question.trim()} (${appended.join(', ')})`, appended };
}
