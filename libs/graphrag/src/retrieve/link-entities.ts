import { findEnglishSpans } from '../extract/english-spans.js';
import { joinUnits, MAX_NAME_UNITS, type NameUnit, nameUnits } from '../extract/name-dictionary.js';
import { analyse, STOP_WORDS } from '../index/analyse.js';
import type { GraphReader } from '../index/graph-reader.port.js';
import type { Rarity } from './rarity.js';

/** A node of the question; weights of one question's nodes are relative to each other. */
export interface LinkedNode {
  readonly node: number;
  /** Where the question names it, as a UTF-16 position. */
  readonly place: number;
  readonly weight: number;
}

/** Names of nodes that occur in a question; `units` from `first` (inclusive) to `last` (exclusive) make one. */
interface NameMatch {
  readonly first: number;
  readonly last: number;
  readonly key: string;
  readonly nodes: readonly number[];
}

/** What of a question is a name in the graph. Its nodes are loaded. */
export interface QuestionNames {
  readonly question: string;
  readonly units: readonly NameUnit[];
  /** By position and falling length, nested names included. */
  readonly matches: readonly NameMatch[];
  /** The same with lower-case plurals read as singulars, too. */
  readonly pluralMatches: readonly NameMatch[];
  /** Every node of a match. */
  readonly nodes: ReadonlySet<number>;
}

/** Looks up everything in the question that could be a name. */
export async function findNames(reader: GraphReader, question: string): Promise<QuestionNames> {
  const units = nameUnits(question);
  const singular = units.map((unit) => ({ ...unit, text: singularOf(question, unit) }));
  const written = candidates(units);
  const read = candidates(singular);
  const keys = new Set([...written, ...read].map(({ key }) => key));
  const named = await reader.nodesNamed([...keys]);
  const nodes = new Set([...named.values()].flat());
  await reader.loadNodes(nodes);
  const matchesOf = (of: readonly Omit<NameMatch, 'nodes'>[]) =>
    of.flatMap((candidate) => {
      const nodes = named.get(candidate.key);
      return nodes ? [{ ...candidate, nodes }] : [];
    });
  const matches = matchesOf(written);
  const pluralMatches = [...matches, ...matchesOf(read)].sort(
    (left, right) => left.first - right.first || right.last - left.last,
  );
  return { question, units, matches, pluralMatches, nodes };
}

function candidates(units: readonly NameUnit[]): Omit<NameMatch, 'nodes'>[] {
  const found: Omit<NameMatch, 'nodes'>[] = [];
  for (let first = 0; first < units.length; first += 1)
    for (let last = Math.min(units.length, first + MAX_NAME_UNITS); last > first; last -= 1)
      found.push({ first, last, key: joinUnits(units, first, last) });
  return found;
}

/**
 * Nodes whose name or alias occurs in the question, the longest name at each place, weighted by
 * {@link Rarity}. A lower-case word counts as a name only where the node is
 * written so.
 */
export function linkEntities(reader: GraphReader, names: QuestionNames, rarity: Rarity): LinkedNode[] {
  return linkMatches(reader, names, names.matches, rarity);
}

/**
 * {@link linkEntities} with lower-case plurals read as singulars where nothing is named as written. Kept apart, for
 * a plural is certain enough to explain relations but measurably worsens the ranking of passages.
 */
export function linkPlurals(reader: GraphReader, names: QuestionNames, rarity: Rarity): LinkedNode[] {
  return linkMatches(reader, names, names.pluralMatches, rarity);
}

function linkMatches(
  reader: GraphReader,
  { question, units }: QuestionNames,
  matches: readonly NameMatch[],
  rarity: Rarity,
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
    const linked = match.nodes.filter(
      (node) => !(lowerCase && single) || isWrittenLowerCase(reader, node, match.key),
    );
    if (linked.length === 0) continue;
    coveredTo = match.last;
    for (const node of linked) {
      const weight = rarity.of(node) / linked.length;
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
export async function linkUnmatchedNames(
  reader: GraphReader,
  names: QuestionNames,
  rarity: Rarity,
): Promise<LinkedNode[]> {
  const { question, units } = names;
  const matched = longestMatches(names.matches).map(({ first, last }) => ({
    start: units[first]!.start,
    end: units[last - 1]!.end,
  }));
  const spans = findEnglishSpans(question, new Set([0]))
    .filter(
      (span) =>
        span.type !== 'date' && !matched.some(({ start, end }) => start <= span.start && span.end <= end),
    )
    .map((span) => ({ span, terms: [...new Set(analyse(span.name))] }))
    .filter(({ terms }) => terms.length >= 2);
  if (spans.length === 0) return [];
  const found = await reader.searchNames(
    spans.map(({ terms }) => terms),
    MAX_CLOSE_NODES,
  );
  const nodes = new Set(found.flat().map(({ ref }) => ref));
  await reader.loadNodes(nodes);
  await rarity.load([], nodes);
  return spans.flatMap(({ span, terms }, at) => {
    const close = found[at]!;
    return close
      .filter(({ ref, score }) => {
        const { name, aliases } = reader.node(ref);
        const own = new Set(analyse([name, ...aliases].join(' ')));
        const shared = terms.filter((term) => own.has(term)).length;
        return score >= CLOSE_SCORE * close[0]!.score && shared >= 2 && shared * 2 >= terms.length;
      })
      .map(({ ref }) => ({ node: ref, place: span.start, weight: rarity.of(ref) / close.length }));
  });
}

/** The longest names, from left to right, none overlapping another. */
function longestMatches(matches: readonly NameMatch[]): NameMatch[] {
  const longest: NameMatch[] = [];
  for (const match of matches) if (match.first >= (longest.at(-1)?.last ?? 0)) longest.push(match);
  return longest;
}

function isWrittenLowerCase(reader: GraphReader, node: number, key: string): boolean {
  const { name, aliases, type } = reader.node(node);
  if (type === 'concept' && name.length > 3) return true;
  return [name, ...aliases].some((written) => written.toLowerCase() === written && written === key);
}
