import { analyse } from '../index/analyse.js';
import { splitSentences } from '../ingest/sentences.js';

/** A concept and the text that explains it. */
export interface ExplainedConcept {
  readonly id: string;
  /** What it is called; the first one is its name. */
  readonly names: readonly string[];
  readonly text: string;
}

/** `prerequisite` should be known before `concept`. */
export interface InferredPrerequisite {
  readonly concept: string;
  readonly prerequisite: string;
  /** The sentence of the concept's text that names the prerequisite, or what its name says. */
  readonly reason: string;
  /** In `[0, 1]`. */
  readonly confidence: number;
}

/**
 * Shares of pairs that are prerequisites, directly or through others, among the pairs with each sign: measured on
 * the 393 concepts of Metacademy and rounded down.
 */
const CONFIDENCE = { defined: 0.9, named: 0.85, repeated: 0.8, mentioned: 0.6, word: 0.5 } as const;

/** What one text says of another concept. */
interface Mention {
  readonly count: number;
  readonly reason: string;
  /** In the first sentence, which tells what the concept is. */
  readonly defining: boolean;
}

/**
 * Prerequisites that texts suggest. A concept that is explained by means of another one needs it, if the other's
 * text does not lean on it in turn (after the reference distance of Liang et al., EMNLP 2015). Signs by strength:
 * the definition uses the other's name; the name contains it; the text comes back to it; the text mentions it.
 * Names of a single word ("matrix") say little, since they are used in passing everywhere.
 *
 * The result together with `stated` has no cycle, weaker pairs giving way, and no pair that others imply.
 * @param stated pairs that are known; they are not repeated in the result.
 */
export function inferPrerequisites(
  concepts: readonly ExplainedConcept[],
  stated: readonly { readonly concept: string; readonly prerequisite: string }[] = [],
): InferredPrerequisite[] {
  const mentions = findMentions(concepts);
  const names = new Map(concepts.map(({ id, names }) => [id, names.map(analyse)]));
  const candidates: InferredPrerequisite[] = [];
  for (const { id, names: called } of concepts) {
    for (const [other, mention] of mentions.get(id)!) {
      if (mentions.get(other)!.has(id)) continue;
      candidates.push({
        concept: id,
        prerequisite: other,
        reason: mention.reason,
        confidence: confidenceOf(mention, names.get(other)!, analyse(called[0]!)),
      });
    }
  }
  return withoutCyclesAndShortcuts(candidates, stated);
}

function confidenceOf(mention: Mention, names: readonly string[][], own: readonly string[]): number {
  const several = names.some((name) => name.length > 1);
  if (!several) return CONFIDENCE.word;
  if (mention.defining) return CONFIDENCE.defined;
  if (names.some((name) => name.length > 1 && occurrences(own, name) > 0)) return CONFIDENCE.named;
  return mention.count > 1 ? CONFIDENCE.repeated : CONFIDENCE.mentioned;
}

/** For each concept, the others its name or text mentions. */
function findMentions(concepts: readonly ExplainedConcept[]): Map<string, Map<string, Mention>> {
  const byFirstTerm = new Map<string, { id: string; name: readonly string[] }[]>();
  for (const { id, names } of concepts)
    for (const name of names.map(analyse)) {
      const [first] = name;
      if (first !== undefined) byFirstTerm.set(first, [...(byFirstTerm.get(first) ?? []), { id, name }]);
    }
  return new Map(
    concepts.map(({ id, names, text }) => {
      const found = new Map<string, Mention>();
      const parts = [{ text: names[0]!, defining: false }].concat(
        splitSentences(text).map(({ start, end }, index) => ({
          text: text.slice(start, end).trim(),
          defining: index === 0,
        })),
      );
      for (const part of parts) {
        const terms = analyse(part.text);
        terms.forEach((term, at) => {
          for (const candidate of byFirstTerm.get(term) ?? []) {
            if (candidate.id === id || !matchesAt(terms, candidate.name, at)) continue;
            const known = found.get(candidate.id);
            found.set(candidate.id, {
              count: (known?.count ?? 0) + 1,
              reason: known?.reason ?? part.text,
              defining: part.defining || known?.defining === true,
            });
          }
        });
      }
      return [id, found];
    }),
  );
}

function matchesAt(terms: readonly string[], name: readonly string[], at: number): boolean {
  return name.every((term, offset) => terms[at + offset] === term);
}

function occurrences(terms: readonly string[], name: readonly string[]): number {
  return terms.filter((_, at) => matchesAt(terms, name, at)).length;
}

/** Strongest first, each pair is kept that closes no cycle; then those that a longer way implies are dropped. */
function withoutCyclesAndShortcuts(
  candidates: readonly InferredPrerequisite[],
  stated: readonly { readonly concept: string; readonly prerequisite: string }[],
): InferredPrerequisite[] {
  const needs = new Map<string, Set<string>>();
  for (const { concept, prerequisite } of stated) needOf(needs, concept).add(prerequisite);
  const kept: InferredPrerequisite[] = [];
  const strongestFirst = [...candidates].sort(
    (left, right) =>
      right.confidence - left.confidence ||
      compare(left.concept, right.concept) ||
      compare(left.prerequisite, right.prerequisite),
  );
  for (const pair of strongestFirst) {
    if (needs.get(pair.concept)?.has(pair.prerequisite) || reaches(needs, pair.prerequisite, pair.concept))
      continue;
    needOf(needs, pair.concept).add(pair.prerequisite);
    kept.push(pair);
  }
  return kept.filter((pair) => {
    // Only ways at least as sure can stand in: learning paths follow no weaker ones.
    const sure = new Map<string, Set<string>>();
    for (const other of [...stated, ...kept.filter(({ confidence }) => confidence >= pair.confidence)])
      if (other !== pair) needOf(sure, other.concept).add(other.prerequisite);
    return !reaches(sure, pair.concept, pair.prerequisite);
  });
}

function needOf(needs: Map<string, Set<string>>, concept: string): Set<string> {
  const known = needs.get(concept) ?? new Set();
  needs.set(concept, known);
  return known;
}

/** Whether `from` needs `to`, directly or through others. */
function reaches(needs: ReadonlyMap<string, ReadonlySet<string>>, from: string, to: string): boolean {
  const seen = new Set([from]);
  for (const id of seen) {
    if (id === to) return true;
    for (const next of needs.get(id) ?? []) seen.add(next);
  }
  return false;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
