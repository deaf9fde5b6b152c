import { UNSUPPORTED_ANSWER } from '../../../core/unsupported-answer.js';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { hasCjk } from '../text-scripts.js';
import { type Candidate, passageCandidates } from './candidates.js';
import { analyseQuestion, definesSubject, fitsType, type Question } from './question.js';
import { type PathEdge, parsePath, verbalisePath } from './relation-path.js';
import { contentTerms, properTerms, SELF } from './terms.js';

/** Share of a question's term weight that the passages an answer draws on must contain. */
const MIN_COVERAGE = 0.65;
/** Chinese terms are pairs of characters, of which those across a word boundary never match. */
const MIN_COVERAGE_CJK = 0.42;
/** Share of a question's names, numbers and quoted words that must be there. */
const MIN_PROPER_COVERAGE = 0.7;
/** A further sentence must come this near to the best one. */
const FURTHER_SENTENCE_SCORE = 0.7;
const MAX_SENTENCES = 3;
const MAX_PATHS = 2;
/** Two sentences that share more of their terms than this say the same. */
const MAX_OVERLAP = 0.6;
/** Share of a title's terms that a sentence must name to be taken to speak of it. */
const MIN_TITLE_NAMED = 0.6;
const DANGLING =
  /^(?:he|she|it|they|this|that|these|those|his|her|its|their|such|however|therefore|thus)\b|^(?:他|她|它|这|那|其|此)/iu;

/**
 * Sentences that answer `question`, each copied from a passage (paths are put into words) and ending in its
 * citation, best first; or the one sentence that says the answer is not known.
 */
export function composeAnswer(questionText: string, passages: readonly ContextPassage[]): string[] {
  const question = analyseQuestion(questionText);
  const paths = relevantPaths(question, passages);
  const ranked = rank(
    question,
    passages.flatMap((passage) => passageCandidates(withoutChain(passage))),
  );
  const answer: string[] = [];
  if (question.type === 'relation' || (ranked[0]?.score ?? 0) === 0)
    answer.push(...paths.slice(0, MAX_PATHS));
  const chosen = withSecondHop(question, choose(ranked), ranked);
  if (isSupported(question, chosen, ranked)) {
    const room = MAX_SENTENCES - answer.length;
    answer.push(
      ...chosen.slice(0, Math.max(1, room)).map((sentence) => cite(sentence.text, sentence.passage)),
    );
  } else if (answer.length === 0) {
    answer.push(...paths.slice(0, MAX_PATHS));
  }
  return answer.length > 0 ? answer : [UNSUPPORTED_ANSWER[question.language]];
}

function cite(text: string, passage: ContextPassage): string {
  return `${/[.!。！…；;]["'”’」)]*$/u.test(text) ? text : `${text}${hasCjk(text) ? '。' : '.'}`} [${passage.id}]`;
}

/** Below the chain of a path stand the sentences that state its relations; they can be quoted like any other. */
function withoutChain(passage: ContextPassage): ContextPassage {
  if (passage.kind !== 'path') return passage;
  return { ...passage, text: passage.text.split('\n').slice(1).join('\n') };
}

/** Paths put into words, those that name what the question names; a path in another script cannot be checked. */
function relevantPaths(question: Question, passages: readonly ContextPassage[]): string[] {
  const wanted = [...question.terms].filter(([term, weight]) => weight >= 1 && term !== SELF);
  const found: { readonly text: string; readonly overlap: number }[] = [];
  for (const passage of passages) {
    if (passage.kind !== 'path') continue;
    const edges = parsePath(passage.text);
    if (edges.length === 0) continue;
    const overlap = endsNamed(edges, wanted);
    const otherScript = question.language === 'zh' && !edges.some(({ from, to }) => hasCjk(from + to));
    if (overlap === 0 && !otherScript) continue;
    if (question.type !== 'relation' && overlap < 1) continue;
    found.push({ text: cite(verbalisePath(edges, question.language), passage), overlap });
  }
  return found.sort((a, b) => b.overlap - a.overlap).map(({ text }) => text);
}

/** Share of the wanted terms that a path's entities and relations hold. */
function endsNamed(edges: readonly PathEdge[], wanted: readonly (readonly [string, number])[]): number {
  const terms = new Set(
    edges.flatMap((edge) => contentTerms(`${edge.from} ${edge.type.replaceAll('_', ' ')} ${edge.to}`)),
  );
  return wanted.length === 0 ? 0 : wanted.filter(([term]) => terms.has(term)).length / wanted.length;
}

interface Ranked extends Candidate {
  readonly score: number;
}

/** All candidates, best first; those that share nothing with the question have a score of 0. */
function rank(question: Question, candidates: readonly Candidate[]): Ranked[] {
  const weights = rarityWeights(question, candidates);
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return [];
  return candidates
    .map((candidate) => ({ ...candidate, score: score(question, candidate, weights) / total }))
    .sort((a, b) => b.score - a.score);
}

/** Question weight times BM25's inverse document frequency over the sentences at hand. */
function rarityWeights(question: Question, candidates: readonly Candidate[]): Map<string, number> {
  const weights = new Map<string, number>();
  for (const [term, weight] of question.terms) {
    const holding = candidates.filter(({ terms }) => terms.has(term)).length;
    if (holding === 0) continue;
    const rarity = Math.log(1 + (candidates.length - holding + 0.5) / (holding + 0.5));
    weights.set(term, weight * Math.max(0.3, rarity));
  }
  return weights;
}

function score(question: Question, candidate: Candidate, weights: ReadonlyMap<string, number>): number {
  let matched = 0;
  let implied = 0;
  let substance = false;
  for (const [term, weight] of weights) {
    if (candidate.terms.has(term)) {
      matched += weight;
      if (term !== SELF) substance = true;
    } else if (candidate.titleTerms.has(term)) implied += 0.5 * weight;
    else if (candidate.previous?.terms.has(term)) implied += 0.3 * weight;
  }
  if (!substance) return 0;
  const length = Math.max(0, candidate.terms.size / 20 - 1);
  const relevance = 0.75 + 0.25 * (candidate.passage.score ?? 1);
  return ((matched + implied) * relevance * typeFactor(question, candidate.text)) / (1 + 0.2 * length);
}

function typeFactor(question: Question, text: string): number {
  if (question.subject && definesSubject(question.subject, text)) return 2;
  const fits = fitsType(question.type, text);
  if (fits === undefined) return 1;
  return fits ? 1.3 : 0.7;
}

/** The best sentence and those near it that add something; what a pronoun refers to comes first. */
function choose(ranked: readonly Ranked[]): Candidate[] {
  const chosen: Candidate[] = [];
  const best = ranked[0];
  if (!best || best.score === 0) return chosen;
  for (const candidate of ranked) {
    if (chosen.length >= MAX_SENTENCES || candidate.score < best.score * FURTHER_SENTENCE_SCORE) break;
    if (chosen.some((other) => overlap(other, candidate) > MAX_OVERLAP)) continue;
    const { previous } = candidate;
    if (previous && DANGLING.test(candidate.text) && !chosen.some((other) => sameSentence(other, previous))) {
      chosen.push(previous);
    }
    chosen.push(candidate);
  }
  return chosen;
}

/**
 * Adds the sentence that goes on where the best one stops: about something the best one names and the
 * question does not, in a passage of its own, with what the best one leaves open. "Where was the director of
 * X born?" needs "X was directed by Y" and then "Y was born in Z".
 */
function withSecondHop(
  question: Question,
  chosen: readonly Candidate[],
  ranked: readonly Ranked[],
): Candidate[] {
  const [best, ...others] = chosen;
  if (!best) return [];
  const names = [...properTerms(best.text)].filter((term) => !question.terms.has(term));
  const open = [...question.terms].filter(
    ([term]) => term !== SELF && !best.terms.has(term) && !best.titleTerms.has(term),
  );
  let next: Candidate | undefined;
  let most = 0;
  for (const candidate of names.length === 0 ? [] : ranked) {
    if (candidate.passage.id === best.passage.id || candidate.titleTerms.size === 0) continue;
    const named = names.filter((term) => candidate.titleTerms.has(term)).length;
    if (named < candidate.titleTerms.size * MIN_TITLE_NAMED) continue;
    const answers = open.reduce((sum, [term, weight]) => sum + (candidate.terms.has(term) ? weight : 0), 0);
    const gain = answers + (fitsType(question.type, candidate.text) ? 0.5 : 0);
    if (gain > most) {
      most = gain;
      next = candidate;
    }
  }
  const second = next;
  if (!second) return [...chosen];
  return [best, second, ...others.filter((other) => !sameSentence(other, second))].slice(
    0,
    MAX_SENTENCES + 1,
  );
}

function sameSentence(a: Candidate, b: Candidate): boolean {
  return a.passage.id === b.passage.id && a.index === b.index;
}

function overlap(a: Candidate, b: Candidate): number {
  if (sameSentence(a, b)) return 1;
  const shared = [...a.terms].filter((term) => b.terms.has(term)).length;
  return shared / Math.min(a.terms.size, b.terms.size);
}

/** Whether the passages the chosen sentences come from speak of what the question names. */
function isSupported(question: Question, chosen: readonly Candidate[], ranked: readonly Ranked[]): boolean {
  if (chosen.length === 0) return false;
  const used = new Set(chosen.map(({ passage }) => passage.id));
  const present = new Set<string>();
  for (const { passage, terms, titleTerms } of ranked) {
    if (!used.has(passage.id)) continue;
    for (const term of terms) present.add(term);
    for (const term of titleTerms) present.add(term);
  }
  let total = 0;
  let covered = 0;
  for (const [term, weight] of question.terms) {
    total += weight;
    if (present.has(term)) covered += weight;
  }
  const proper = [...question.proper];
  const named = proper.filter((term) => present.has(term)).length;
  const needed = question.language === 'zh' ? MIN_COVERAGE_CJK : MIN_COVERAGE;
  return covered >= needed * total && named >= MIN_PROPER_COVERAGE * proper.length;
}
