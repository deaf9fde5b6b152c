import { type AnswerLanguage, UNSUPPORTED_ANSWER } from '../../../core/unsupported-answer.js';
import type { ContextPassage } from '../../../ports/chat-model.port.js';
import { hasCjk } from '../text-scripts.js';
import { type Candidate, passageCandidates } from './candidates.js';
import { type Comparison, compare } from './comparison.js';
import {
  analyseQuestion,
  definesSubject,
  fitsType,
  introduces,
  isLabel,
  type Question,
  type QuestionType,
} from './question.js';
import { followChain } from './relation-chain.js';
import { type PathEdge, parsePath, verbalisePath } from './relation-path.js';
import { SubjectIndex } from './subjects.js';
import { contentTerms, properTerms, SELF } from './terms.js';

/** Share of a question's term weight that the passages an answer draws on must contain. */
const MIN_COVERAGE = 0.65;
/** Chinese terms are pairs of characters, of which those across a word boundary never match. */
const MIN_COVERAGE_CJK = 0.42;
/** Share of a question's names, numbers and quoted words that must be there. */
const MIN_PROPER_COVERAGE = 0.7;
/** Share of the other words that the sentences themselves must have where a fact is asked for. */
const MIN_FACT_COVERAGE = 0.5;
/** A further sentence must come this near to the best one. */
const FURTHER_SENTENCE_SCORE = 0.8;
const MAX_SENTENCES = 3;
const MAX_PATHS = 2;
/** Communities that an answer about everything draws on. */
const MAX_COMMUNITIES = 8;
/** Share of the question's terms that a chain must hold where the question does not ask for a relation. */
const MIN_PATH_OVERLAP = 0.6;
/** Two sentences that share more of their terms than this say the same. */
const MAX_OVERLAP = 0.6;
/** Share of its subject's terms that the sentence before must name for a sentence to go on from there. */
const MIN_SUBJECT_NAMED = 0.6;
/** What a pronoun stands for counts nearly as if it were written. */
const RESOLVED_SHARE = 0.9;
const OWN_SUBJECT = 1.4;
const MIXED_SUBJECT = 0.7;
const OTHER_SUBJECT = 0.65;
const LABEL_SHARE = 0.45;
const INTRODUCES = 1.6;
const FACT_TYPES: ReadonlySet<QuestionType> = new Set<QuestionType>(['who', 'when', 'where', 'quantity']);
const PREREQUISITE_EDGE = /^(?:prerequisite_of|先修于)$/u;
const REQUIRES_EDGE = /^(?:requires|depends_on|需要|依赖)$/u;
const REQUIRES_SENTENCE = /\brequires?\b|\bneeds?\b|\bdepends? on\b|\bprerequisites?\b|需要|先修|前提/iu;
const CONTRAST_EDGE = /^(?:contrasts_with|differs_from|不同于)$/u;

/**
 * Sentences that answer `question`, each copied from a passage (paths are put into words) and ending in its
 * citation, best first; or the one sentence that says the answer is not known.
 */
export function composeAnswer(questionText: string, passages: readonly ContextPassage[]): string[] {
  const question = analyseQuestion(questionText);
  const unknown = [UNSUPPORTED_ANSWER[question.language]];
  if (question.negated) return unknown;
  const overview = communityPoints(passages);
  if (overview.length > 0) return overview;
  const candidates = passages.flatMap((passage) => passageCandidates(withoutChain(passage)));
  const subjects = new SubjectIndex(candidates);
  const comparison = compare(question.text, subjects);
  if (comparison) return concluded(comparison, question.language);
  const chain = followChain(question.text, subjects);
  if (chain) return citeAll(distinct(chain));
  const ranked = rank(question, candidates);
  const paths = relevantPaths(question, passages);
  const answer = byType(question, ranked, paths) ?? fromSentences(question, ranked, paths);
  return answer.length > 0 ? answer : unknown;
}

/** What was concluded, with the sources it rests on, and what they say. */
function concluded({ conclusion, evidence }: Comparison, language: AnswerLanguage): string[] {
  const sentences = distinct(evidence);
  const sources = [...new Set(sentences.map(({ passage }) => passage.id))].map((id) => `[${id}]`).join('');
  const words = VERDICTS[language][conclusion] ?? conclusion;
  return [`${words}${language === 'zh' ? '。' : '.'} ${sources}`, ...citeAll(sentences)];
}
function distinct(sentences: readonly Candidate[]): Candidate[] {
  return sentences.filter(
    (sentence, index) => sentences.findIndex((other) => sameSentence(other, sentence)) === index,
  );
}
const VERDICTS: Readonly<Record<AnswerLanguage, Readonly<Record<string, string>>>> = {
  en: { yes: 'Yes', no: 'No' },
  zh: { yes: '是', no: '不是' },
};

/**
 * One point of each community, the most relevant first. Only a question about everything there is gets communities,
 * and it names nothing that sentences could be compared with.
 */
function communityPoints(passages: readonly ContextPassage[]): string[] {
  return passages
    .filter(({ kind }) => kind === 'community')
    .flatMap((passage) => passageCandidates(passage).slice(0, 1))
    .slice(0, MAX_COMMUNITIES)
    .map(({ text, passage }) => cite(text, passage));
}

/** The answer to a question whose form says what belongs into it; `undefined` when the passages lack that. */
function byType(
  question: Question,
  ranked: readonly Ranked[],
  paths: readonly SpokenPath[],
): string[] | undefined {
  switch (question.type) {
    case 'definition':
      return definition(question, ranked);
    case 'difference':
      return difference(question, ranked, paths);
    case 'requirement':
      return requirement(question, ranked, paths);
    default:
      return undefined;
  }
}

/** What the subject is, then what the same passage goes on to say of it. */
function definition(question: Question, ranked: readonly Ranked[]): string[] | undefined {
  const [subject] = question.subjects;
  if (subject === undefined) return undefined;
  const first = definitionOf(subject, ranked) ?? definitionOf(nameBehind(subject, ranked), ranked);
  if (!first) return undefined;
  const others = ranked.filter(
    (candidate) =>
      candidate.passage.id === first.passage.id &&
      candidate.index > first.index &&
      !candidate.dangling &&
      !isLabel(candidate.text) &&
      sameTerms(candidate.subjectTerms, first.subjectTerms) &&
      overlap(first, candidate) <= MAX_OVERLAP,
  );
  return citeAll([first, ...others].slice(0, MAX_SENTENCES));
}

const ALSO_CALLED = /^(?:also (?:called|known as)|又称|又叫|也叫)\s*[:：]\s*(.+?)[.。]?$/iu;

/** The heading of the section that lists `subject` as another name of what it is about. */
function nameBehind(subject: string, ranked: readonly Ranked[]): string | undefined {
  const listing = ranked.find(({ text, heading }) => {
    const names = ALSO_CALLED.exec(text)?.[1]
      ?.toLowerCase()
      .split(/[,，、]\s*/u);
    return heading !== undefined && names?.includes(subject);
  });
  return listing?.heading?.replace(/\s*[（(].*$/u, '').toLowerCase();
}

function definitionOf(subject: string | undefined, ranked: readonly Ranked[]): Ranked | undefined {
  if (subject === undefined) return undefined;
  const defining = ranked.filter(({ text }) => definesSubject(subject, text));
  return defining.find(({ passage }) => passage.kind !== 'path') ?? defining[0];
}

/** The relation that sets the two apart, then what each of them is. */
function difference(
  question: Question,
  ranked: readonly Ranked[],
  paths: readonly SpokenPath[],
): string[] | undefined {
  const direct = paths.filter(({ edges }) => edges.length === 1);
  const path = direct.find(({ edges }) => edges.some(({ type }) => CONTRAST_EDGE.test(type))) ?? direct[0];
  const both =
    question.subjects.length === 2 ? definitionOf(question.subjects.join(' and '), ranked) : undefined;
  const each = question.subjects.flatMap((subject) => definitionOf(subject, ranked) ?? []);
  const sentences = both ? [both] : each;
  if (sentences.length === 0) return undefined;
  const contrast = ranked.find(
    (candidate) =>
      CONTRAST_SENTENCE.test(candidate.text) &&
      !isLabel(candidate.text) &&
      question.subjects.every((subject) => contentTerms(subject).every((term) => candidate.terms.has(term))),
  );
  const opening = contrast ? citeAll([contrast]) : path && sentences.length > 1 ? [path.text] : [];
  if (opening.length === 0 && !both && sentences.length < question.subjects.length) return undefined;
  const rest = sentences.filter((sentence) => !contrast || !sameSentence(sentence, contrast));
  return [...opening, ...citeAll(rest)].slice(0, MAX_SENTENCES);
}
const CONTRAST_SENTENCE = /\bcontrasts?\b|\bdiffers?\b|\bunlike\b|\bwhereas\b|\bwhile\b|不同|区别|相比|而/iu;

/** The sentence that lists what the subject requires, else its prerequisites in the graph. */
function requirement(
  question: Question,
  ranked: readonly Ranked[],
  paths: readonly SpokenPath[],
): string[] | undefined {
  const subject = new Set(contentTerms(question.subjects[0] ?? ''));
  if (subject.size === 0) return undefined;
  const listed = ranked.filter(
    ({ text, subjectTerms }) =>
      REQUIRES_SENTENCE.test(text) && !isLabel(text) && sameTerms(subjectTerms, subject),
  );
  const best = listed.find(({ passage }) => passage.kind !== 'path') ?? listed[0];
  if (best) return citeAll([best]);
  const stated = paths.filter(({ edges: [edge, ...more] }) => {
    if (!edge || more.length > 0) return false;
    const wanted = PREREQUISITE_EDGE.test(edge.type)
      ? edge.to
      : REQUIRES_EDGE.test(edge.type)
        ? edge.from
        : '';
    return sameTerms(new Set(contentTerms(wanted)), subject);
  });
  return stated.length > 0 ? stated.slice(0, MAX_SENTENCES).map(({ text }) => text) : undefined;
}

function fromSentences(
  question: Question,
  ranked: readonly Ranked[],
  paths: readonly SpokenPath[],
): string[] {
  const answer: string[] = [];
  const [first, ...more] = paths;
  if (first && (question.type === 'relation' || (ranked[0]?.score ?? 0) === 0)) {
    const alternatives = more.filter(
      ({ ends, edges }) => ends === first.ends && edges.length <= first.edges.length,
    );
    answer.push(...[first, ...alternatives].slice(0, MAX_PATHS).map(({ text }) => text));
  }
  const facts = question.type === 'relation' && first ? reasons(question, ranked, first) : undefined;
  const chosen = facts ?? withSecondHop(question, choose(question, ranked), ranked);
  if (facts || isSupported(question, chosen, ranked)) {
    const room = MAX_SENTENCES - answer.length;
    answer.push(...citeAll(chosen.slice(0, Math.max(facts ? 0 : 1, room))));
  } else if (answer.length === 0) {
    answer.push(...paths.slice(0, MAX_PATHS).map(({ text }) => text));
    if (first)
      answer.push(...citeAll(reasons(question, ranked, first).slice(0, MAX_SENTENCES - answer.length)));
  }
  return answer;
}

/** Sentences below a path, and others that name both things it connects; else what each of the two is. */
function reasons(question: Question, ranked: readonly Ranked[], path: SpokenPath): Candidate[] {
  const ends = question.subjects.map((subject) => contentTerms(subject));
  const found: Candidate[] = [];
  for (const candidate of ranked) {
    const own = candidate.passage.id === path.passage.id;
    const names =
      ends.length === 2 && ends.every((terms) => terms.every((term) => candidate.terms.has(term)));
    if (!(own || names) || candidate.dangling) continue;
    if (!found.some((other) => overlap(other, candidate) > MAX_OVERLAP)) found.push(candidate);
  }
  if (found.length > 0) return found;
  return question.subjects.flatMap((subject) => definitionOf(subject, ranked) ?? []);
}

function citeAll(sentences: readonly Candidate[]): string[] {
  return sentences.map(({ text, passage }) => cite(text, passage));
}

function sameTerms(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((term) => b.has(term));
}

function cite(text: string, passage: ContextPassage): string {
  return `${/[.!。！…；;]["'”’」)]*$/u.test(text) ? text : `${text}${hasCjk(text) ? '。' : '.'}`} [${passage.id}]`;
}

/** Below the chain of a path stand the sentences that state its relations; they can be quoted like any other. */
function withoutChain(passage: ContextPassage): ContextPassage {
  if (passage.kind !== 'path') return passage;
  return { ...passage, text: passage.text.split('\n').slice(1).join('\n') };
}

interface SpokenPath {
  readonly passage: ContextPassage;
  readonly edges: readonly PathEdge[];
  /** In words, with the citation. */
  readonly text: string;
  /** Names of both ends. */
  readonly ends: string;
}

/** Paths put into words, those that name what the question names; a path in another script cannot be checked. */
function relevantPaths(question: Question, passages: readonly ContextPassage[]): SpokenPath[] {
  const wanted = [...question.terms].filter(([term, weight]) => weight >= 1 && term !== SELF);
  const isCommon = commonWords(passages);
  const found: (SpokenPath & { readonly overlap: number })[] = [];
  for (const passage of passages) {
    if (passage.kind !== 'path') continue;
    const edges = parsePath(passage.text);
    const [start, end] = [edges[0], edges.at(-1)];
    if (!start || !end) continue;
    const overlap = endsNamed(edges, wanted);
    const otherScript = question.language === 'zh' && !edges.some(({ from, to }) => hasCjk(from + to));
    if (overlap === 0 && !otherScript) continue;
    if (!NAMES_RELATION.has(question.type) && overlap < (edges.length > 1 ? MIN_PATH_OVERLAP : 1)) continue;
    if (FACT_TYPES.has(question.type) && edges.length > 1) continue;
    found.push({
      passage,
      edges,
      text: cite(verbalisePath(edges, question.language, isCommon), passage),
      ends: `${start.next === start.to ? start.from : start.to}\n${end.next}`,
      overlap,
    });
  }
  return found.sort((a, b) => b.overlap - a.overlap);
}
/** Questions whose own words ask for the relation, so that a path need not hold them. */
const NAMES_RELATION: ReadonlySet<QuestionType> = new Set<QuestionType>([
  'relation',
  'difference',
  'requirement',
]);

/** Words that the passages write in lower case. */
function commonWords(passages: readonly ContextPassage[]): (word: string) => boolean {
  const common = new Set<string>();
  for (const { text } of passages)
    for (const [word] of text.matchAll(/(?<![\p{L}\p{N}])\p{Ll}[\p{L}-]*/gu)) common.add(word);
  return (word) => common.has(word.toLowerCase());
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
    } else if (candidate.dangling && candidate.subjectTerms.has(term)) implied += RESOLVED_SHARE * weight;
    else if (candidate.titleTerms.has(term)) implied += 0.5 * weight;
    else if (candidate.previous?.terms.has(term)) implied += 0.3 * weight;
  }
  if (!substance) return 0;
  const length = Math.max(0, candidate.terms.size / 20 - 1);
  const relevance = 0.75 + 0.25 * (candidate.passage.score ?? 1);
  const fit = typeFactor(question, candidate.text) * subjectFactor(question, candidate);
  return ((matched + implied) * relevance * fit) / (1 + 0.2 * length);
}

function typeFactor(question: Question, text: string): number {
  if (question.subjects.some((subject) => definesSubject(subject, text))) return 2;
  if (question.type === 'definition' && question.subjects.some((subject) => introduces(subject, text)))
    return INTRODUCES;
  const label = isLabel(text) ? LABEL_SHARE : 1;
  const fits = fitsType(question.type, text, question.terms);
  if (fits === undefined) return label;
  return fits ? 1.3 * label : 0.7 * label;
}

/** Whether a sentence speaks of what the question names, of something with more to its name, or of something else. */
function speaksOf(question: Question, { subjectTerms }: Candidate): 'own' | 'mixed' | 'other' | undefined {
  const named = [...subjectTerms].filter((term) => (question.terms.get(term) ?? 0) >= 1);
  if (subjectTerms.size === 0) return undefined;
  if (named.length === subjectTerms.size) return 'own';
  return named.length > 0 ? 'mixed' : 'other';
}

function subjectFactor(question: Question, candidate: Candidate): number {
  const subject = speaksOf(question, candidate);
  if (subject === 'own') return OWN_SUBJECT;
  if (subject === undefined || question.type === 'who' || question.terms.has(SELF)) return 1;
  return subject === 'mixed' ? MIXED_SUBJECT : OTHER_SUBJECT;
}

/** The best sentence and those near it that add something; what a pronoun refers to comes first. */
function choose(question: Question, ranked: readonly Ranked[]): Candidate[] {
  const chosen: Candidate[] = [];
  const best = ranked[0];
  if (!best || best.score === 0) return chosen;
  const room = FACT_TYPES.has(question.type) ? 1 : MAX_SENTENCES;
  for (const candidate of ranked) {
    if (chosen.length >= room || candidate.score < best.score * FURTHER_SENTENCE_SCORE) break;
    if (chosen.some((other) => overlap(other, candidate) > MAX_OVERLAP)) continue;
    if (candidate !== best && speaksOf(question, candidate) !== 'own' && speaksOf(question, best) === 'own')
      continue;
    const { previous } = candidate;
    if (previous && candidate.dangling && !chosen.some((other) => sameSentence(other, previous))) {
      chosen.push(previous);
    }
    chosen.push(candidate);
  }
  return chosen;
}

/**
 * Joins two sentences where no single one answers: the first names something that the question does not, and the
 * second, about that, has what the first leaves open. "Where was the director of X born?" needs "X was directed
 * by Y" and then "Y was born in Z".
 */
function withSecondHop(
  question: Question,
  chosen: readonly Candidate[],
  ranked: readonly Ranked[],
): Candidate[] {
  const near = ranked.slice(0, MAX_HOP_SENTENCES).filter(({ score }) => score > 0);
  let pair: readonly [Ranked, Ranked] | undefined;
  let most = 0;
  for (const first of near) {
    if (isLabel(first.text) || !namesAll(question.proper, first)) continue;
    if (!ordinaryTerms(question).some((term) => first.terms.has(term))) continue;
    const names = new Set([...properTerms(` ${first.text}`)].filter((term) => !question.terms.has(term)));
    const open = [...question.terms].filter(([term]) => term !== SELF && !holds(first, term));
    if (names.size === 0 || open.length === 0) continue;
    for (const second of ranked) {
      if (sameSentence(first, second) || second.subjectTerms.size === 0) continue;
      const named = [...second.subjectTerms].filter((term) => names.has(term)).length;
      if (named < second.subjectTerms.size * MIN_SUBJECT_NAMED) continue;
      const answers = open.reduce((sum, [term, weight]) => sum + (second.terms.has(term) ? weight : 0), 0);
      if (answers === 0) continue;
      const fits = fitsType(question.type, second.text, question.terms) ? 0.5 : 0;
      const gain = answers + fits + first.score;
      if (gain > most) {
        most = gain;
        pair = [first, second];
      }
    }
  }
  if (!pair || pair.some((sentence) => coversAll(question, sentence))) return [...chosen];
  const [first, second] = pair;
  const before = first.dangling && first.previous ? [first.previous] : [];
  return [...before, first, second];
}
const MAX_HOP_SENTENCES = 20;

/** Words of the question that are neither names nor words that any question has. */
function ordinaryTerms(question: Question): string[] {
  return [...question.terms].flatMap(([term, weight]) => (weight === 1 && term !== SELF ? [term] : []));
}

function holds(candidate: Candidate, term: string): boolean {
  return candidate.terms.has(term) || candidate.subjectTerms.has(term) || candidate.titleTerms.has(term);
}

function namesAll(terms: ReadonlySet<string>, candidate: Candidate): boolean {
  return [...terms].every((term) => holds(candidate, term));
}

/** Whether a sentence has every word of the question itself. */
function coversAll(question: Question, candidate: Candidate): boolean {
  return [...question.terms].every(
    ([term, weight]) => weight < 1 || candidate.terms.has(term) || candidate.subjectTerms.has(term),
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
  if (FACT_TYPES.has(question.type) && question.language === 'en' && !statesFact(question, chosen))
    return false;
  const proper = [...question.proper];
  const named = proper.filter((term) => present.has(term)).length;
  const needed = question.language === 'zh' ? MIN_COVERAGE_CJK : MIN_COVERAGE;
  return covered >= needed * total && named >= MIN_PROPER_COVERAGE * proper.length;
}

/** Whether the sentences have the words of the question and are not about something else of the same page. */
function statesFact(question: Question, chosen: readonly Candidate[]): boolean {
  const ordinary = ordinaryTerms(question);
  const held = ordinary.filter((term) => chosen.some((candidate) => holds(candidate, term)));
  if (held.length < MIN_FACT_COVERAGE * ordinary.length) return false;
  const said = [...question.proper].filter((term) =>
    chosen.some(({ terms, subjectTerms }) => terms.has(term) || subjectTerms.has(term)),
  );
  if (said.length >= MIN_PROPER_COVERAGE * question.proper.size) return true;
  return chosen.every(({ text, subjectTerms }) => {
    const names = properTerms(` ${text}`);
    return ![...subjectTerms].some((term) => names.has(term) && !question.terms.has(term));
  });
}
