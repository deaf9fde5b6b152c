import { findEnglishSpans } from '../extract/english-spans.js';
import { type NameMatch, type NameUnit, nameUnits } from '../extract/name-dictionary.js';
import { analyse, STOP_WORDS } from '../index/analyse.js';
import type { GraphSnapshot } from '../index/graph-snapshot.js';
import { topIndexes } from './flat-scores.js';

/** A node of the question; weights of one question's nodes are relative to each other. */
export interface LinkedNode {
  readonly node: number;
  /** Where the question names it, as a UTF-16 position. */
  readonly place: number;
  readonly weight: number;
}

/**
 * Nodes whose name or alias occurs in the question, the longest name at each place, weighted by rarity: one
 * over the number of chunks that mention the node. A lower-case word counts as a name only where the node is
 * written so.
 */
export function linkEntities(snapshot: GraphSnapshot, question: string): LinkedNode[] {
  const units = nameUnits(question);
  return linkMatches(snapshot, question, units, snapshot.names.findAll(units));
}

/**
 * {@link linkEntities} with lower-case plurals read as singulars where nothing is named as written. Kept apart, for
 * a plural is certain enough to explain relations but measurably worsens the ranking of passages.
 */
export function linkPlurals(snapshot: GraphSnapshot, question: string): LinkedNode[] {
  const units = nameUnits(question);
  const singular = units.map((unit) => ({ ...unit, text: singularOf(question, unit) }));
  const matches = [...snapshot.names.findAll(units), ...snapshot.names.findAll(singular)];
  matches.sort((left, right) => left.first - right.first || right.last - left.last);
  return linkMatches(snapshot, question, units, matches);
}

function linkMatches(
  snapshot: GraphSnapshot,
  question: string,
  units: readonly NameUnit[],
  matches: readonly NameMatch[],
): LinkedNode[] {
  const linkedNodes = new Map<number, LinkedNode>();
  let coveredTo = 0;
  for (const match of matches) {
    if (match.last <= coveredTo) continue;
    const place = units[match.first]!.start;
    const surface = question.slice(place, units[match.last - 1]!.end);
    const single = match.last - match.first === 1;
    if (single && STOP_WORDS.has(match.key)) continue;
    const lowerCase = /^[\p{Ll}]/u.test(surface) && !units[match.first]!.cjk;
    const linked = match.ids.filter(
      (node) => !(lowerCase && single) || isWrittenLowerCase(snapshot, node, match.key),
    );
    if (linked.length === 0) continue;
    coveredTo = match.last;
    for (const node of linked) {
      const weight = rarity(snapshot, node) / linked.length;
      const known = linkedNodes.get(node);
      if (!known) linkedNodes.set(node, { node, place, weight });
      else if (known.weight < weight) linkedNodes.set(node, { ...known, weight });
    }
  }
  return [...linkedNodes.values()];
}

function singularOf(question: string, unit: NameUnit): string {
  const { text } = unit;
  if (unit.cjk || text.length < 4 || !/^\p{Ll}/u.test(question.slice(unit.start, unit.end))) return text;
  if (/[^aeiou]ies$/.test(text)) return `${text.slice(0, -3)}y`;
  if (/(?:ss|x|z|ch|sh)es$/.test(text)) return text.slice(0, -2);
  return /[^sui]s$/.test(text) ? text.slice(0, -1) : text;
}

/** Of the best node's score, what another node needs to be taken for the same name. */
const CLOSE_SCORE = 0.8;
const MAX_CLOSE_NODES = 3;

/**
 * Capitalised names of the question that are no node's name in full, each linked to the nodes whose names share
 * its rarest words: `Tottenham Hotspur` finds `Tottenham Hotspur F.C.`. Weighted as {@link linkEntities} does.
 */
export function linkUnmatchedNames(snapshot: GraphSnapshot, question: string): LinkedNode[] {
  const units = nameUnits(question);
  const matched = snapshot.names.findLongest(units).map(({ first, last }) => ({
    start: units[first]!.start,
    end: units[last - 1]!.end,
  }));
  const linked: LinkedNode[] = [];
  for (const span of findEnglishSpans(question, new Set([0]))) {
    if (span.type === 'date' || matched.some(({ start, end }) => start <= span.start && span.end <= end))
      continue;
    const terms = [...new Set(analyse(span.name))];
    if (terms.length < 2) continue;
    const scores = snapshot.nodeNames.score(terms);
    const close = topIndexes(scores, MAX_CLOSE_NODES);
    for (const node of close) {
      const own = new Set(analyse([snapshot.nodes[node]!.name, ...snapshot.nodes[node]!.aliases].join(' ')));
      const shared = terms.filter((term) => own.has(term)).length;
      if (scores[node]! < CLOSE_SCORE * scores[close[0]!]! || shared < 2 || shared * 2 < terms.length)
        continue;
      linked.push({ node, place: span.start, weight: rarity(snapshot, node) / close.length });
    }
  }
  return linked;
}

/** One over the number of chunks that mention the node. */
export function rarity(snapshot: GraphSnapshot, node: number): number {
  const { offsets } = snapshot.nodeChunks;
  return 1 / Math.max(1, offsets[node + 1]! - offsets[node]!);
}

function isWrittenLowerCase(snapshot: GraphSnapshot, node: number, key: string): boolean {
  const { name, aliases, type } = snapshot.nodes[node]!;
  if (type === 'concept' && name.length > 3) return true;
  return [name, ...aliases].some((written) => written.toLowerCase() === written && written === key);
}

/** A stated edge that answers to the question's words. */
export interface LinkedFact {
  /** Evidence row. */
  readonly row: number;
  readonly score: number;
}
