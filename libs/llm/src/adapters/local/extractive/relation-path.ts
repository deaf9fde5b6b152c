import type { AnswerLanguage } from '../../../core/unsupported-answer.js';
import { hasCjk } from '../text-scripts.js';

export interface PathEdge {
  readonly from: string;
  readonly type: string;
  readonly to: string;
  /** The next step starts where this one ends, whichever way the edge points. */
  readonly next: string;
}

/** `—[type]→` or `←[type]—`, with or without the brackets, also with ASCII dashes and arrows. */
const STEP =
  /\s*(?:(?:—|–|-{1,2})\s*\[?([\p{L}\p{N}_ '’-]+?)\]?\s*(?:→|->)|(?:←|<-)\s*\[?([\p{L}\p{N}_ '’-]+?)\]?\s*(?:—|–|-{1,2}))\s*/gu;

/** Reads the first line, `A —[prerequisite_of]→ B ←[part_of]— C`; an empty list when it has another form. */
export function parsePath(text: string): PathEdge[] {
  const line = text.trim().split('\n')[0] ?? '';
  const steps = [...line.matchAll(STEP)];
  const edges: PathEdge[] = [];
  let current = line.slice(0, steps[0]?.index ?? 0).trim();
  for (const [index, step] of steps.entries()) {
    const start = step.index + step[0].length;
    const next = line
      .slice(start, steps[index + 1]?.index)
      .trim()
      .replace(/[.。;；]+$/u, '');
    if (current === '' || next === '') return [];
    const forward = step[1];
    const type = (forward ?? step[2] ?? '').trim().replaceAll(' ', '_');
    edges.push(forward ? { from: current, type, to: next, next } : { from: next, type, to: current, next });
    current = next;
  }
  return edges;
}

/** Phrase with the source before and the target after it; the Chinese forms take `$1` and `$2`. */
const PHRASES: Readonly<Record<string, { readonly en: string; readonly zh: string }>> = {
  prerequisite_of: { en: 'is a prerequisite of', zh: '$1是$2的先修内容' },
  requires: { en: 'requires', zh: '$1需要先学$2' },
  depends_on: { en: 'depends on', zh: '$1依赖$2' },
  is_a: { en: 'is a kind of', zh: '$1是一种$2' },
  part_of: { en: 'is part of', zh: '$1是$2的一部分' },
  has_part: { en: 'contains', zh: '$1包含$2' },
  contains: { en: 'contains', zh: '$1包含$2' },
  uses: { en: 'uses', zh: '$1使用$2' },
  used_for: { en: 'is used for', zh: '$1用于$2' },
  used_in: { en: 'is used in', zh: '$1用于$2' },
  based_on: { en: 'is based on', zh: '$1基于$2' },
  related_to: { en: 'is related to', zh: '$1与$2相关' },
  mentioned_with: { en: 'is mentioned together with', zh: '$1与$2一同被提到' },
  co_occurs_with: { en: 'is mentioned together with', zh: '$1与$2一同被提到' },
  example_of: { en: 'is an example of', zh: '$1是$2的一个例子' },
  instance_of: { en: 'is an instance of', zh: '$1是$2的一个实例' },
  causes: { en: 'causes', zh: '$1导致$2' },
  leads_to: { en: 'leads to', zh: '$1通向$2' },
  located_in: { en: 'is located in', zh: '$1位于$2' },
  born_in: { en: 'was born in', zh: '$1出生于$2' },
  died_in: { en: 'died in', zh: '$1逝世于$2' },
  author_of: { en: 'is the author of', zh: '$1是$2的作者' },
  member_of: { en: 'is a member of', zh: '$1是$2的成员' },
  works_for: { en: 'works for', zh: '$1任职于$2' },
  contrasts_with: { en: 'contrasts with', zh: '$1与$2形成对比' },
  differs_from: { en: 'differs from', zh: '$1不同于$2' },
  kind_of: { en: 'is a kind of', zh: '$1是一种$2' },
  variant_of: { en: 'is a variant of', zh: '$1是$2的变体' },
  same_as: { en: 'is the same as', zh: '$1即$2' },
};
const PARTICIPLE = /^[a-z]+(?:ed|en|wn|rn|ught|lt|de)_(?:in|by|at|on|to|from|of|with|as|for|into|under)$/u;
const NOUN_AND_PREPOSITION = /^[a-z]+(?:_[a-z]+){0,2}_(?:of|in|for|from)$/u;
const THIRD_PERSON = /^[a-z]+[^s]s(?:_|$)/u;
/** Of these there may be several, so "a" stands before them. */
const ONE_OF_MANY =
  /^(?:variant|kind|type|form|member|part|case|special_case|subset|example|branch|generalisation)_/u;

type IsCommon = (word: string) => boolean;
const NEVER_COMMON: IsCommon = () => false;

function englishPhrase(type: string, plural: boolean): string {
  const known = PHRASES[type]?.en;
  const words = known ?? unknownPhrase(type);
  if (!plural) return words;
  return words
    .replace(/^is\b/u, 'are')
    .replace(/^was\b/u, 'were')
    .replace(/^([a-z]{2,}[^s])s\b/u, '$1');
}

function unknownPhrase(type: string): string {
  const words = type.replaceAll('_', ' ');
  if (PARTICIPLE.test(type)) return `was ${words}`;
  if (!NOUN_AND_PREPOSITION.test(type) || THIRD_PERSON.test(type)) return words;
  const article =
    ONE_OF_MANY.test(type) || !type.endsWith('_of') ? (/^[aeiou]/u.test(type) ? 'an' : 'a') : 'the';
  return `is ${article} ${words}`;
}

function chinesePhrase(type: string): string {
  const known = PHRASES[type]?.zh;
  if (known) return known;
  return hasCjk(type) ? `$1${type}$2` : '$1与$2相关';
}

const SINGULAR_IN_S = /(?:ss|us|is|ias|ics|ies|'s|-means)$/iu;
const PLURAL_IN_ICS = /\bmetrics$/iu;

/** "Neural networks", "precision and recall". */
function isPlural(name: string): boolean {
  const last = name.split(/\s+/u).at(-1) ?? '';
  if (/\s+(?:and|&)\s+/u.test(name)) return true;
  if (PLURAL_IN_ICS.test(last) || /[^aeiou]ies$/u.test(last)) return !/^(?:series|species)$/iu.test(last);
  return /s$/u.test(last) && !SINGULAR_IN_S.test(last) && (name.includes(' ') || /^\p{Ll}/u.test(name));
}

/** "Neural networks" reads as a common noun inside a sentence; "Alan Turing" and "BERT" stay as they are. */
function inline(name: string, isCommon: IsCommon): string {
  const [first = ''] = name.split(/\s+/u);
  const severalWords = /^\p{Lu}\p{Ll}+(?:[ \-–]\p{Ll}+)+$/u.test(name);
  const common =
    /^\p{Lu}\p{Ll}+$/u.test(first.replace(/[-–].*$/u, '')) && !/\s\p{Lu}/u.test(name) && isCommon(first);
  return severalWords || common ? name.charAt(0).toLowerCase() + name.slice(1) : name;
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** One edge as a clause without a full stop. */
export function verbaliseEdge(edge: PathEdge, language: AnswerLanguage, isCommon = NEVER_COMMON): string {
  if (language === 'zh')
    return chinesePhrase(edge.type)
      .replace('$1', () => edge.from)
      .replace('$2', () => edge.to);
  const from = inline(edge.from, isCommon);
  return `${from} ${englishPhrase(edge.type, isPlural(from))} ${inline(edge.to, isCommon)}`;
}

/**
 * All edges as one sentence that says how the path's ends hang together. `isCommon` tells which words are written
 * in lower case inside a sentence; names of several words of which only the first is capitalised are anyway.
 */
export function verbalisePath(
  edges: readonly PathEdge[],
  language: AnswerLanguage,
  isCommon: IsCommon = NEVER_COMMON,
): string {
  const first = edges[0];
  const last = edges.at(-1);
  if (!first || !last) return '';
  const start = first.next === first.to ? first.from : first.to;
  if (language === 'zh') {
    const clauses = edges.map((edge) => verbaliseEdge(edge, 'zh')).join('，');
    return edges.length === 1 ? `${clauses}。` : `${start}与${last.next}的联系是：${clauses}。`;
  }
  if (edges.length === 1) return `${capitalise(verbaliseEdge(first, 'en', isCommon))}.`;
  const clauses = edges.map((edge, index) => {
    const before = edges[index - 1];
    return before && edge.from === before.next && before.to === before.next
      ? `which ${englishPhrase(edge.type, isPlural(inline(edge.from, isCommon)))} ${inline(edge.to, isCommon)}`
      : `${index === 0 ? '' : 'and '}${verbaliseEdge(edge, 'en', isCommon)}`;
  });
  const opening = inline(start, isCommon);
  return `${capitalise(opening)} ${isPlural(opening) ? 'relate' : 'relates'} to ${inline(last.next, isCommon)} through: ${clauses.join(', ')}.`;
}
