import { hasCjk } from '../text-scripts.js';
import type { Candidate } from './candidates.js';
import { countriesIn } from './countries.js';
import { datesIn, lifeDates } from './dates.js';
import { makerOf, makerRoleIn } from './makers.js';
import { type Figure, firstOf, type Subject, type SubjectIndex } from './subjects.js';
import { contentTerms } from './terms.js';

/** What a comparison comes to, and the sentences it rests on. */
export interface Comparison {
  /** The one that was chosen, or `yes` or `no`. */
  readonly conclusion: string;
  readonly evidence: readonly Candidate[];
}

type Measure = (subject: Subject) => Figure<number> | undefined;

/**
 * Answers "which of the two" and "are both" where the passages introduce both things: by dates of birth, death and
 * release, by heights and counts, by country, by what each is said to be; also by way of who made them ("which film
 * has the older director"). `undefined` when the question is no comparison or the passages do not decide it.
 */
export function compare(question: string, index: SubjectIndex): Comparison | undefined {
  const bare = question
    .trim()
    .replace(/[\s?？.。!！]+$/u, '')
    .replace(/^["“](.*)["”]$/u, '$1');
  return chooseOne(bare, index) ?? judgeBoth(bare, index);
}

// --- Which of the two ---------------------------------------------------------------------------------------

function chooseOne(question: string, index: SubjectIndex): Comparison | undefined {
  if (!/\bor\b|\bout of\b|\bbetween\b|还是|谁|哪/iu.test(question)) return undefined;
  if (!/\b(?:who|which|what|whose|was|is|did|were)\b|谁|哪/iu.test(question)) return undefined;
  const pair = index.pairIn(question, /\s+or\s+|\s+and\s+|还是|和|与|跟/giu);
  if (!pair) return undefined;
  const { first, second, rest, joint } = pair;
  if (/and|和|与|跟/iu.test(joint) && !/\bbetween\b|\bout of\b|\bof\b|谁|哪/iu.test(question))
    return undefined;
  const role = makerRoleIn(rest);
  const measure = measureOf(rest, role !== undefined);
  const reach = (subject: Subject) => (role ? makerOf(subject, role, index) : { subject, evidence: [] });
  const [a, b] = [reach(first), reach(second)];
  if (!a || !b) return undefined;
  if (measure) {
    const [x, y] = [measure.of(a.subject), measure.of(b.subject)];
    if (!x || !y || x.value === y.value) return undefined;
    const firstWins = measure.greater ? x.value > y.value : x.value < y.value;
    return {
      conclusion: (firstWins ? first : second).name,
      evidence: [...a.evidence, ...x.evidence, ...b.evidence, ...y.evidence],
    };
  }
  return role ? undefined : byDescription(rest, first, second);
}

const LATER =
  /\b(?:later|younger|youngest|newer|newest|last|latest|more recent(?:ly)?|most recent(?:ly)?)\b|更晚|较晚|后|年轻|最近/iu;
const EARLIER =
  /\b(?:first|earlier|earliest|older|oldest|elder|before|sooner)\b|更早|较早|先|年长|年龄更?大|最早/iu;
const LIVED =
  /\b(?:lived|live)\b.*\b(?:longer|longest|shorter|older)\b|\b(?:longer|shorter) (?:life|lived)\b|活得更?[长久]/iu;

interface ChosenMeasure {
  readonly of: Measure;
  readonly greater: boolean;
}

/** What the question compares by, and whether the greater one is asked for. */
function measureOf(rest: string, ofPeople: boolean): ChosenMeasure | undefined {
  if (LIVED.test(rest)) return { of: lifespan, greater: !/\bshorter\b/iu.test(rest) };
  const height = /\b(?:higher|taller|highest|tallest|lower|shorter)\b|更高/iu.exec(rest);
  if (height && !/\bborn\b/iu.test(rest))
    return { of: heightOf, greater: !/lower|shorter/iu.test(height[0]) };
  const later = LATER.test(rest);
  if (later || EARLIER.test(rest)) {
    if (/\bdie[ds]?\b|\bdeath\b|去世|逝世/iu.test(rest)) return { of: died, greater: later };
    const ofAge = /\b(?:older|younger|oldest|youngest|elder)\b|年长|年轻|年龄/iu.test(rest);
    if (ofPeople || /\bborn\b|出生/iu.test(rest)) return { of: born, greater: later };
    if (ofAge) return { of: (subject) => born(subject) ?? began(subject), greater: later };
    return { of: began, greater: later };
  }
  const counted = /\b(?:more|most|fewer|fewest|less)\s+((?:[\p{L}'-]+\s*){1,3})/iu.exec(rest);
  const noun = counted?.[1];
  return noun
    ? { of: (subject) => countOf(subject, noun), greater: !/^(?:few|less)/iu.test(counted[0]) }
    : undefined;
}

const born: Measure = (subject) => firstOf(subject, (text) => lifeDates(text).born);
const died: Measure = (subject) => firstOf(subject, (text) => lifeDates(text).died);

const lifespan: Measure = (subject) => {
  const [from, to] = [born(subject), died(subject)];
  if (!from || !to) return undefined;
  const evidence = from.evidence[0] === to.evidence[0] ? from.evidence : [...from.evidence, ...to.evidence];
  return { value: to.value - from.value, evidence };
};

const BEGINNING =
  /\b(?:released?|premiered|published|founded|established|formed|launched|opened|built|created|started|began|begun|debuted|introduced|issued|incorporated|constructed|aired)\b|上映|发行|出版|成立|创立|建于|创办|发布/iu;

/** When something came into the world: the first date behind a word for that, else the first of its introduction. */
const began: Measure = (subject) => {
  const [lead] = subject.sentences;
  const introduced = lead && datesIn(lead.text)[0];
  if (lead && introduced) return { value: introduced.value, evidence: [lead] };
  return firstOf(subject, (text) => {
    const at = text.search(BEGINNING);
    return at < 0 ? undefined : datesIn(text).find(({ index }) => index > at)?.value;
  });
};

/** Metres above the sea or the ground. */
const heightOf: Measure = (subject) =>
  firstOf(subject, (text) => {
    const metres = /(\d[\d,. ]*\d|\d)\s*(?:metres?|meters?|m)\b|(\d[\d,.]*\d)\s*米/iu.exec(text);
    if (metres) return numberOf((metres[1] ?? metres[2])!);
    const feet = /(\d[\d,. ]*\d|\d)\s*(?:feet|foot|ft)\b/iu.exec(text);
    return feet ? numberOf(feet[1]!) * 0.3048 : undefined;
  });

const NUMBER_WORDS = 'zero one two three four five six seven eight nine ten eleven twelve'.split(' ');

/** How many of what the question counts: the number before the word, within two words of it. */
function countOf(subject: Subject, noun: string): Figure<number> | undefined {
  const wanted = new Set(contentTerms(noun));
  if (wanted.size === 0) return undefined;
  return firstOf(subject, (text) => {
    for (const match of text.matchAll(
      new RegExp(`\\b(\\d[\\d,]*|${NUMBER_WORDS.join('|')})\\s+((?:[\\p{L}'-]+\\s*){1,4})`, 'giu'),
    )) {
      const [, number = '', words = ''] = match;
      const stems = new Set(contentTerms(words));
      if ([...wanted].every((term) => stems.has(term))) {
        const word = NUMBER_WORDS.indexOf(number.toLowerCase());
        return word >= 0 ? word : numberOf(number);
      }
    }
    return undefined;
  });
}

function numberOf(text: string): number {
  return Number(text.replace(/[,\s]/gu, ''));
}

/** The one of the two that is said to be what the question describes, where the other is not. */
function byDescription(rest: string, first: Subject, second: Subject): Comparison | undefined {
  const wanted = contentTerms(rest);
  if (wanted.length === 0 || COMPARATIVE.test(rest)) return undefined;
  const best = (subject: Subject) => {
    const known = new Set(subject.sentences.flatMap(({ terms }) => [...terms]));
    const [lead] = subject.sentences;
    const sentence = subject.sentences.reduce<Candidate | undefined>((most, candidate) => {
      const count = (held: Candidate) => wanted.filter((term) => held.terms.has(term)).length;
      return most && count(most) >= count(candidate) ? most : candidate;
    }, lead);
    return { share: wanted.filter((term) => known.has(term)).length / wanted.length, sentence };
  };
  const [a, b] = [best(first), best(second)];
  const [winner, subject] = a.share > b.share ? [a, first] : [b, second];
  if (a.share === b.share || winner.share < MIN_DESCRIBED) return undefined;
  return { conclusion: subject.name, evidence: [a.sentence, b.sentence].flatMap((found) => found ?? []) };
}
const MIN_DESCRIBED = 0.6;
/** What no description decides. */
const COMPARATIVE =
  /\b(?:more|most|less|fewer|(?:long|larg|bigg|wid|deep|great|bett|clos|fast|rich|heavi|small|bus|old|young|high|tall|short|low|earli|lat|new)(?:er|est)|further|farther)\b|更|最/iu;

// --- Are both ------------------------------------------------------------------------------------------------

const YES_NO = /^(?:are|is|were|was|do|does|did|have|has|had|can|could)\b/iu;

function judgeBoth(question: string, index: SubjectIndex): Comparison | undefined {
  const chinese = hasCjk(question) && /吗$|是否|是不是/u.test(question);
  if (!YES_NO.test(question) && !chinese) return undefined;
  const pair = index.pairIn(question, /\s+and\s+|和|与|跟/giu);
  if (!pair) return undefined;
  const { first, second, rest } = pair;
  const role = makerRoleIn(rest);
  const reach = (subject: Subject) => (role ? makerOf(subject, role, index) : { subject, evidence: [] });
  const [a, b] = [reach(first), reach(second)];
  if (!a || !b) return undefined;
  const verdict = /\bsame\b|\bshare\b|同一|相同|一样/iu.test(rest)
    ? sameness(rest, a.subject, b.subject)
    : bothAre(rest, a.subject, b.subject);
  if (!verdict) return undefined;
  return { ...verdict, evidence: [...a.evidence, ...b.evidence, ...verdict.evidence] };
}

function conclude(yes: boolean, evidence: readonly (Candidate | undefined)[]): Comparison {
  return { conclusion: yes ? 'yes' : 'no', evidence: evidence.flatMap((sentence) => sentence ?? []) };
}

/** Whether the two have one thing in common: their country, or what stands at the word that the question names. */
function sameness(rest: string, a: Subject, b: Subject): Comparison | undefined {
  if (/\b(?:country|countries|nationalit(?:y|ies)|nation|citizenship)\b|国/iu.test(rest)) {
    const [x, y] = [countryOf(a), countryOf(b)];
    if (!x || !y) return undefined;
    const common = x.value.some((country) => y.value.includes(country));
    return conclude(common, [...x.evidence, ...y.evidence]);
  }
  const noun = /\bsame\s+(?:type of |kind of )?([\p{L}-]+)/iu.exec(rest)?.[1]?.toLowerCase();
  if (!noun) return undefined;
  const named = (subject: Subject) => firstOf(subject, (text) => namedBeside(noun, text));
  const [x, y] = [named(a), named(b)];
  if (!x || !y) return undefined;
  return conclude(x.value === y.value, [...x.evidence, ...y.evidence]);
}

/** `the family Urticaceae` and `the Urticaceae family`. */
function namedBeside(noun: string, text: string): string | undefined {
  const after = new RegExp(`\\b${noun}\\s+(?:of\\s+)?(\\p{Lu}[\\p{L}-]+)`, 'u').exec(text)?.[1];
  const before = new RegExp(`(\\p{Lu}[\\p{L}-]+)\\s+${noun}\\b`, 'u').exec(text)?.[1];
  return after ?? before;
}

/** Countries in what introduces a subject, else the first that are named of it. */
function countryOf(subject: Subject): Figure<readonly string[]> | undefined {
  return firstOf(subject, (text) => {
    const found = countriesIn(text);
    return found.length > 0 ? found : undefined;
  });
}

/** Words of a predicate that ask nothing of the subject. */
const EMPTY = new Set(contentTerms('types type kinds kind considered known called based descent'));

/** Whether each of the two is said to be what the question says of both; not so where one's introduction lacks it. */
function bothAre(rest: string, a: Subject, b: Subject): Comparison | undefined {
  const wanted = contentTerms(rest).filter((term) => !EMPTY.has(term));
  if (wanted.length === 0 || /\d|\bmore than\b|\bat least\b/iu.test(rest)) return undefined;
  const countryAsked = new Map(
    rest.split(/\s+/u).flatMap((word) => {
      const [country] = countriesIn(word);
      return country === undefined ? [] : contentTerms(word).map((term) => [term, country] as const);
    }),
  );
  const judge = (subject: Subject) => {
    const [lead] = subject.sentences;
    const known = new Set(subject.sentences.flatMap(({ terms }) => [...terms]));
    const countries = new Set(subject.sentences.flatMap(({ text }) => countriesIn(text)));
    const is = wanted.every((term) => known.has(term) || countries.has(countryAsked.get(term) ?? ''));
    return { is, lead, introduced: lead !== undefined && INTRODUCES.test(lead.text) };
  };
  const [x, y] = [judge(a), judge(b)];
  if (x.is && y.is) return conclude(true, [x.lead, y.lead]);
  if ((!x.is && !x.introduced) || (!y.is && !y.introduced)) return undefined;
  return conclude(false, [x.lead, y.lead]);
}
const INTRODUCES = /\b(?:is|are|was|were)\s+(?:an?|the|one)\b|是/iu;
