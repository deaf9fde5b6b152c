import { normaliseEntityName } from '../extract/entity-name.js';
import { STOP_WORDS, stemOf } from '../index/analyse.js';
import type { EntityType } from '../model.js';
import type { DocumentExtraction } from './resolve-entities.js';

/** What surrounds a name: in one document, or in all passages that mention a node. */
export interface NameContext {
  /** What it is said to be, as heads of hypernyms (see {@link hypernymHead}). */
  readonly hypernyms: ReadonlySet<string>;
  /** Normal forms of the names that stand in one passage with it. */
  readonly neighbours: ReadonlySet<string>;
  /** Embeddings of what is said about it, the name itself left out. */
  readonly vectors: readonly ContextVector[];
}

/** A vector of norm 1 and how similar it is to texts about something else. */
export interface ContextVector {
  readonly values: Float32Array;
  readonly background: number;
}

export const NO_CONTEXT: NameContext = { hypernyms: new Set(), neighbours: new Set(), vectors: [] };

/** Says of everything that it is one, so it distinguishes nothing. */
const EMPTY_HYPERNYMS = new Set(
  'name term word part member example type kind one way thing form set number topic subject'
    .split(' ')
    .map(stemOf),
);

/** Statements less sure than this, such as those of lists (`cities such as …`), do not say what a name is. */
export const SURE_HYPERNYM = 0.7;

/**
 * What a hypernym comes down to: the stem of its last noun before `of` and the like (`the smallest planet of
 * the Solar System` → `planet`); Chinese stays as it is. Undefined when it says nothing, or is a plural, which
 * is said of several things together.
 */
export function hypernymHead(name: string): string | undefined {
  const key = normaliseEntityName(name);
  if (/\p{Script=Han}/u.test(key)) return key;
  const noun = key
    .split(/ (?:of|in|for|that|which|who|from|with|by|and|or|at|on|to) /)[0]!
    .split(' ')
    .at(-1)!;
  if (/[^suai]s$/.test(noun)) return undefined;
  const head = stemOf(noun);
  return head === '' || EMPTY_HYPERNYMS.has(head) ? undefined : head;
}

/** True when a head of one set is one of the other; in Chinese, when it ends in one (`液态金属` is `金属`). */
export function hypernymsMeet(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  for (const a of left)
    for (const b of right)
      if (a === b || (/\p{Script=Han}/u.test(a) && (a.endsWith(b) || b.endsWith(a)))) return true;
  return false;
}

const KINDS: ReadonlySet<EntityType> = new Set(['person', 'place', 'organisation']);

/**
 * True for two types of which nothing is both. `term` and `concept` may be anything, and what stands in quotes
 * may be a `work` or not.
 */
export function typesConflict(left: EntityType, right: EntityType): boolean {
  return left !== right && KINDS.has(left) && KINDS.has(right);
}

/** What a document says a name is: hypernym heads with the words they were written in; names say nothing. */
export function hypernymsOf(document: DocumentExtraction, key: string): Map<string, string> {
  const hypernyms = new Map<string, string>();
  for (const chunk of document.chunks)
    for (const relation of chunk.relations) {
      if (relation.type !== 'is_a' || relation.confidence < SURE_HYPERNYM) continue;
      if (normaliseEntityName(relation.source) !== key || /(?:^| )\p{Lu}\S*$/u.test(relation.target))
        continue;
      const head = hypernymHead(relation.target);
      if (head !== undefined && head !== key) hypernyms.set(head, relation.target);
    }
  return hypernyms;
}

/** Names that share a passage with `key` in the document; dates and numbers are everybody's neighbours. */
export function neighboursOf(document: DocumentExtraction, key: string): Set<string> {
  const neighbours = new Set<string>();
  for (const chunk of document.chunks) {
    const keys = chunk.entities
      .filter(({ type }) => type !== 'date' && type !== 'number')
      .map(({ name }) => normaliseEntityName(name));
    if (keys.includes(key)) for (const other of keys) neighbours.add(other);
  }
  neighbours.delete(key);
  neighbours.delete('');
  return neighbours;
}

/** How much more two contexts are alike than either is like anything: the best pair's cosine less the background. */
export function relatedness(left: NameContext, right: NameContext): number | undefined {
  let best: number | undefined;
  for (const a of left.vectors)
    for (const b of right.vectors) {
      let cosine = 0;
      for (let i = 0; i < a.values.length; i += 1) cosine += a.values[i]! * b.values[i]!;
      const excess = cosine - (a.background + b.background) / 2;
      if (best === undefined || excess > best) best = excess;
    }
  return best;
}

export function sharedNeighbours(left: NameContext, right: NameContext): number {
  let shared = 0;
  for (const key of left.neighbours) if (right.neighbours.has(key)) shared += 1;
  return shared;
}

/** True for what is written like a name: `Mercury` and `苹果`, not `the film`, `one` or `It is`. */
export function isProperName(name: string): boolean {
  if (/\p{Script=Han}/u.test(name)) return true;
  const words = name.trim().split(/\s+/);
  return /^\p{Lu}/u.test(words[0]!) && words.some((word) => !STOP_WORDS.has(word.toLowerCase()));
}

/** A name without what stands in parentheses behind it: `Mercury` for `Mercury (planet)`. Undefined without any. */
export function withoutParentheses(name: string): string | undefined {
  const match = /^(.+?)\s*[(（][^()（）]+[)）]\s*$/u.exec(name.trim());
  return match?.[1];
}
