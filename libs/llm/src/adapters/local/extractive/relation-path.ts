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
  same_as: { en: 'is the same as', zh: '$1即$2' },
};
const PARTICIPLE = /^[a-z]+(?:ed|en|wn|rn|ught|lt)_(?:in|by|at|on|to|from|of|with|as|for|into)$/u;
const NOUN_OF = /^[a-z]+(?:_[a-z]+)?_of$/u;

function phrase(type: string, language: AnswerLanguage): string {
  const known = PHRASES[type]?.[language];
  if (known) return known;
  const words = type.replaceAll('_', ' ');
  if (language === 'zh' && hasCjk(type)) return `$1${type}$2`;
  if (language === 'zh') return `$1与$2的关系是“${words}”`;
  if (PARTICIPLE.test(type)) return `was ${words}`;
  return NOUN_OF.test(type) ? `is the ${words}` : words;
}

/** "Neural networks" reads as a common noun inside a sentence; "Alan Turing" and "BERT" stay as they are. */
function inline(name: string): string {
  return /^\p{Lu}\p{Ll}+(?:[ -]\p{Ll}+)+$/u.test(name) ? name.charAt(0).toLowerCase() + name.slice(1) : name;
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** One edge as a clause without a full stop. */
export function verbaliseEdge(edge: PathEdge, language: AnswerLanguage): string {
  const words = phrase(edge.type, language);
  if (language === 'zh') return words.replace('$1', () => edge.from).replace('$2', () => edge.to);
  return `${inline(edge.from)} ${words} ${inline(edge.to)}`;
}

/** All edges as one sentence that says how the path's ends hang together. */
export function verbalisePath(edges: readonly PathEdge[], language: AnswerLanguage): string {
  const first = edges[0];
  const last = edges.at(-1);
  if (!first || !last) return '';
  const start = first.next === first.to ? first.from : first.to;
  if (language === 'zh') {
    const clauses = edges.map((edge) => verbaliseEdge(edge, 'zh')).join('，');
    return edges.length === 1 ? `${clauses}。` : `${start}与${last.next}的联系是：${clauses}。`;
  }
  if (edges.length === 1) return `${capitalise(verbaliseEdge(first, 'en'))}.`;
  const clauses = edges.map((edge, index) => {
    const before = edges[index - 1];
    return before && edge.from === before.next && before.to === before.next
      ? `which ${phrase(edge.type, 'en')} ${inline(edge.to)}`
      : `${index === 0 ? '' : 'and '}${verbaliseEdge(edge, 'en')}`;
  });
  return `${capitalise(inline(start))} relates to ${inline(last.next)} through: ${clauses.join(', ')}.`;
}
