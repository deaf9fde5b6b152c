import {
  CHINESE_A_NOT_A,
  CHINESE_FILLER,
  CHINESE_NEGATION,
  CHINESE_NOT_NEGATING,
  CHINESE_STOP_WORDS,
} from './chinese-words.js';
import {
  ENGLISH_COMMON_WORDS,
  ENGLISH_MODALS,
  ENGLISH_NEGATIONS,
  ENGLISH_POINTERS,
  ENGLISH_RELATIONS,
  ENGLISH_STOP_WORDS,
  ENGLISH_SYNONYMS,
} from './english-words.js';
import { readChineseNumerals, readEnglishNumber, romanNumber } from './numerals.js';

/** What is asked about the content of a question. */
export type QuestionKind =
  | 'define'
  | 'how'
  | 'how-works'
  | 'purpose'
  | 'why'
  | 'when'
  | 'where'
  | 'who'
  | 'how-many'
  | 'how-degree'
  | 'which'
  | 'yes-no'
  | 'compare'
  | 'other';

/** What a question says, as far as rules can tell. Words are stems in lower case. */
export interface QuestionForm {
  readonly language: 'en' | 'zh';
  /** The text without what never matters: case, spacing, width of characters, final punctuation. */
  readonly normalised: string;
  /** Equal for questions that differ only in how they are put. */
  readonly canonical: string;
  readonly kind: QuestionKind;
  readonly past: boolean;
  readonly negations: number;
  /** In the order of appearance. */
  readonly numbers: readonly string[];
  /** Content words in order. In Chinese they come from a word segmenter. */
  readonly words: readonly string[];
  /** Those that say what the question is about: names, and whatever is not a common word. */
  readonly subjects: readonly string[];
  /** Every word, stop words included. */
  readonly vocabulary: ReadonlySet<string>;
  /** Without courtesies and spaces, for looking up Chinese words whatever the segmentation. */
  readonly text: string;
  readonly modal: string;
  /** Words that point at someone or something outside of the question. */
  readonly pointers: readonly string[];
  /** Signs that are not punctuation, as in formulas and code. */
  readonly signs: readonly string[];
  /** Neighbouring words written together. */
  readonly compounds: ReadonlySet<string>;
  /** Prepositions that change what is asked, sorted. */
  readonly relations: readonly string[];
}

const HAN = /\p{Script=Han}/u;
const MAX_LENGTH = 2_000;

/** Analyses a question in English or Chinese. Rules only: no model, no dictionary of the subject. */
export function questionForm(question: string): QuestionForm {
  const normalised = normalise(question);
  return HAN.test(normalised)
    ? chineseForm(normalised)
    : englishForm(question.normalize('NFKC').slice(0, MAX_LENGTH), normalised);
}

function normalise(question: string): string {
  return question
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[’‘`´]/g, "'")
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replace(/[\s?？!！.。…,，;；:：]+$/u, '')
    .slice(0, MAX_LENGTH);
}

// ---------------------------------------------------------------- English

const COURTESIES = [
  /^(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening))[,!. ]+/,
  /^(?:so|well|ok|okay|now|and|but|basically|actually|sorry|excuse me)[, ]+/,
  /^(?:please|kindly|pls)[, ]+/,
  /^(?:can|could|would|will) (?:you|someone|anyone|somebody|anybody|u)(?: please| kindly| help me)?[, ]+(?=(?:please )?(?:tell|explain|describe|define|give|say|help|show|list|summari[sz]e|clarify|elaborate))/,
  /^(?:i|we) (?:want|would like|'d like|need|wish) to (?:know|learn|understand|ask)(?: about)?[, ]+/,
  /^(?:i am|i'm|i was) (?:wondering|curious)(?: about)?[, ]+/,
  /^(?:do you|does anyone|does anybody) know[, ]+/,
  /^(?:tell|show|help) (?:me|us)(?: to)?[, ]+(?=(?:what|why|how|when|where|who|whether|understand)\b)/,
  /^(?:explain|describe|clarify|say)(?: to)?(?: me| us)?[, ]+(?=(?:why|how|when|where|who)\b)/,
  /^(?:understand|know)[, ]+(?=(?:what|why|how|when|where|who)\b)/,
];
const CLOSINGS = /[, ]+(?:please|pls|thanks|thank you|thx|to me|for me|in general|exactly|anyway)$/;

interface Frame {
  readonly pattern: RegExp;
  readonly kind: QuestionKind;
}

const ARTICLE = '(?:(?:a|an|the) )?';
/** First match wins. Group 1, and 2 where there is one, hold what the question is about. */
const ENGLISH_FRAMES: readonly Frame[] = [
  frame(
    `(?:what|which) (?:is|are|was|were) ${ARTICLE}(?:main |key |major |basic )?differences? (?:between|of) (.+)`,
    'compare',
  ),
  frame('(?:compare|contrast|distinguish|differentiate)(?: between)? (.+)', 'compare'),
  frame('how (?:do|does|is|are|did) (.+?) (?:differ|different)(?: from (.+))?', 'compare'),
  frame(`(?:explain|describe|tell (?:me|us)) ${ARTICLE}differences? between (.+)`, 'compare'),
  frame('(?:explain|describe|tell me|define|say)? ?(?:how) (?:do|does) (.+) works?', 'how-works'),
  frame('how (.+) works', 'how-works'),
  frame('what (?:is|are) (.+?) (?:used for|good for|needed for|for)', 'purpose'),
  frame('what (?:is|are) the (?:uses?|purposes?|point|applications?|function) of (.+)', 'purpose'),
  frame('what (?:do|does) (.+?) do', 'purpose'),
  frame('why (?:do|does|should|would) (?:i|you|we|one|people|they|someone) use (.+)', 'purpose'),
  frame('how (?:many|much) (.+)', 'how-many'),
  frame('what (?:is|are) the (?:number|amount|quantity) of (.+)', 'how-many'),
  frame(
    'how (long|old|far|often|big|large|tall|high|deep|fast|heavy|hard|difficult|easy|likely|good|bad|safe|important|strong|hot|cold|soon|early|late|close|accurate|true|expensive|cheap|common|rare|dangerous|effective) (.+)',
    'how-degree',
  ),
  frame('how to (.+)', 'how'),
  frame(
    'how (?:do|can|could|should|would|may|might|shall|must|will) (?:i|you|we|one|someone|somebody|people|a person|u) (.+)',
    'how',
  ),
  frame(
    'what (?:is|are) (?:the|some|a) (?:ways?|methods?|steps?|process|procedure) (?:to|for|of) (.+)',
    'how',
  ),
  frame('how (.+)', 'how'),
  frame('why (.+)', 'why'),
  frame('what (?:is|are|was|were) the (?:reasons?|causes?) (?:why|for|of|behind|that) (.+)', 'why'),
  frame('(?:when) (.+)', 'when'),
  frame('(?:in )?(?:what|which) (?:year|date|day|month|time|century) (.+)', 'when'),
  frame('(?:where) (.+)', 'where'),
  frame('(?:in |at )?(?:what|which) (?:place|location|country|city) (.+)', 'where'),
  frame('(?:who|whom|whose) (.+)', 'who'),
  frame('(?:which) (.+)', 'which'),
  frame(`what (?:does|do|did) ${ARTICLE}(.+?) (?:mean|stand for|refer to)(?: by)?`, 'define'),
  frame(`what (?:is|are|was|were) meant by ${ARTICLE}(.+)`, 'define'),
  frame(
    `(?:what (?:is|are|was|were) )?(?:the |a )?(?:meaning|definition|explanation|concept|description) of ${ARTICLE}(.+)`,
    'define',
  ),
  frame(
    `(?:give|provide|write)(?: me| us)? (?:the |a |an )?(?:brief |short |simple )?(?:meaning|definition|explanation|description|overview|introduction) (?:of|to|for|about) ${ARTICLE}(.+)`,
    'define',
  ),
  frame(
    `(?:explain|describe|define|tell me|tell us)(?: to me)? what ${ARTICLE}(.+?) (?:is|are|means?)`,
    'define',
  ),
  frame(`what ${ARTICLE}(.+?) (?:is|are|means)`, 'define'),
  frame(
    `(?:explain|describe|define|tell me about|tell us about|tell me|explain to me|introduce|clarify)(?: the (?:concept|meaning|term|idea) (?:of )?)? ?${ARTICLE}(.+)`,
    'define',
  ),
  frame(`(.+?),? (?:what is (?:it|that|this)|meaning|definition|explained)`, 'define'),
  frame(`(.+) (?:is|are) what`, 'define'),
  frame(`what (?:is|are|was|were) ${ARTICLE}(.+)`, 'define'),
  frame(
    '((?:is|are|was|were|am|do|does|did|can|could|should|would|will|shall|may|might|must|has|have|had) .+)',
    'yes-no',
  ),
];

function frame(source: string, kind: QuestionKind): Frame {
  return { pattern: new RegExp(`^${source}$`), kind };
}

function englishForm(original: string, normalised: string): QuestionForm {
  const expanded = expandContractions(normalise(markAcronyms(original)).replaceAll(/["“”«»]/g, ' '));
  const past = /\b(?:was|were|did|had)\b/.test(expanded);
  const { kind, content } = matchFrame(stripCourtesies(expanded.replaceAll(/\s+/g, ' ').trim()));
  const tokens = tokenise(content);
  const everything = tokenise(expanded);
  const numbers = tokens.flatMap((token) => (token.number === undefined ? [] : [token.number]));
  const modal =
    kind === 'how' || kind === 'define'
      ? ''
      : (tokens.find(({ word }) => ENGLISH_MODALS.has(word))?.word ?? '');
  const words = tokens.filter(isContent).map(({ stem }) => stem);
  const names = namesIn(original);
  const subjects = tokens
    .filter(
      ({ word, stem, number }) =>
        number === undefined &&
        !isFunctionWord(word) &&
        (kind === 'compare' || names.has(stem) || !isCommon(stem)),
    )
    .map(({ stem }) => stem);
  const negations = everything.filter(({ word }) => ENGLISH_NEGATIONS.has(word)).length;
  const pointers = pointersIn(content);
  const ordered = kind === 'compare' ? [...words].sort() : words;
  return {
    language: 'en',
    normalised,
    kind,
    past,
    negations,
    numbers,
    words,
    subjects,
    vocabulary: new Set(everything.map(({ stem }) => stem)),
    text: words.join(''),
    modal,
    pointers,
    signs: signsOf(normalised),
    relations: tokens.flatMap(({ word }) => (ENGLISH_RELATIONS.has(word) ? [word] : [])).sort(),
    compounds: new Set(words.slice(1).map((word, index) => `${words[index]}${word}`)),
    canonical: `${kind}${past ? ' past' : ''}${modal && ` ${modal}`} ${pointers.join('+')} ${'not '.repeat(negations % 2)}: ${ordered.join(' ')}`,
  };
}

/** "IT" and "US" must not be taken for "it" and "us". */
function markAcronyms(text: string): string {
  if (!/\p{Ll}/u.test(text)) return text;
  return text.replaceAll(/\b\p{Lu}{2,}\b/gu, (word) => {
    const lower = word.toLowerCase();
    return isFunctionWord(lower) || isCommon(lower) ? `${lower}acronym` : word;
  });
}

/** Who is pointed at. Whoever asks ("how can I", "tell me about") is gone with the frame by then. */
function pointersIn(content: string): string[] {
  const words = content.match(/\p{L}+/gu) ?? [];
  return words.flatMap((word) => ENGLISH_POINTERS.get(word) ?? []).sort();
}

function signsOf(text: string): string[] {
  return [...(text.match(/[^\p{L}\p{N}\p{P}\s]|[*()[\]{}#@&%/\\]/gu) ?? [])].sort();
}

function expandContractions(text: string): string {
  return (
    text
      .replaceAll(/\bcan't\b/g, 'can not')
      .replaceAll(/\bwon't\b/g, 'will not')
      .replaceAll(/\bcannot\b/g, 'can not')
      .replaceAll(
        /\b(are|is|was|were|do|does|did|has|have|had|could|should|would|must|might|need)n'?t\b/g,
        '$1 not',
      )
      .replaceAll(
        /\b(what|who|where|when|how|why|that|there|it|here|he|she)'?s\b(?!')/g,
        (whole, word: string) => (whole.includes("'") || word === 'what' ? `${word} is` : whole),
      )
      .replaceAll(/'re\b/g, ' are')
      .replaceAll(/'ll\b/g, ' will')
      .replaceAll(/'ve\b/g, ' have')
      .replaceAll(/'m\b/g, ' am')
      .replaceAll(/'d\b/g, ' would')
      // "France's capital" asks what "the capital of France" asks.
      .replaceAll(/\b([\p{L}\d-]+)'s ((?:[\p{L}\d-]+))/gu, '$2 of $1')
      .replaceAll(/s' /g, 's ')
      .replaceAll("'", '')
  );
}

function stripCourtesies(text: string): string {
  let rest = text;
  for (let before = ''; before !== rest; ) {
    before = rest;
    for (const courtesy of COURTESIES) rest = rest.replace(courtesy, '');
    rest = rest.replace(CLOSINGS, '');
  }
  return rest;
}

function matchFrame(text: string): { kind: QuestionKind; content: string } {
  for (const { pattern, kind } of ENGLISH_FRAMES) {
    const match = pattern.exec(text);
    if (match) return { kind, content: match.slice(1).filter(Boolean).join(' ') };
  }
  return { kind: 'other', content: text };
}

interface Token {
  readonly word: string;
  readonly stem: string;
  readonly number?: string;
}

function tokenise(text: string): Token[] {
  const words = text.match(/[\p{L}\p{N}]+(?:[.,]\d+)*(?:[+#]+)?|[%$€£]|\^/gu) ?? [];
  const tokens: Token[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const spelled = readEnglishNumber(words, index);
    if (spelled) {
      tokens.push({ word, stem: spelled.value, number: spelled.value });
      index += spelled.length - 1;
      continue;
    }
    const stem = ENGLISH_SYNONYMS.get(stemOf(word)) ?? stemOf(word);
    tokens.push({ word, stem });
  }
  return tokens;
}

/** Plurals and third persons (S-stemmer; Harman, "How effective is suffixing?", JASIS 1991). */
function stemOf(word: string): string {
  if (word.length < 4 || !word.endsWith('s')) return word;
  if (/[^ea]ies$/.test(word)) return `${word.slice(0, -3)}y`;
  if (/(?:ss|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  if (/(?:us|ss|is)$/.test(word)) return word;
  return word.slice(0, -1);
}

function isContent({ word, number }: Token): boolean {
  return number !== undefined || !isFunctionWord(word);
}

function isFunctionWord(word: string): boolean {
  return (
    ENGLISH_STOP_WORDS.has(word) ||
    ENGLISH_POINTERS.has(word) ||
    ENGLISH_MODALS.has(word) ||
    ENGLISH_NEGATIONS.has(word) ||
    /^(?:was|were|did|had)$/.test(word)
  );
}

function isCommon(stem: string): boolean {
  return ENGLISH_COMMON_WORDS.has(stem) || ENGLISH_COMMON_WORDS.has(`${stem}s`);
}

/** Stems of words that are written like names: capital inside a sentence, all capitals, or quoted. */
function namesIn(original: string): ReadonlySet<string> {
  const names = new Set<string>();
  const note = (text: string) => {
    for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+[+#]*/gu) ?? []) names.add(stemOf(word));
  };
  for (const [, quoted = ''] of original.matchAll(/["“«]([^"”»]{1,80})["”»]/g)) note(quoted);
  for (const { 0: word, index } of original.matchAll(/[\p{L}\p{N}]+[+#]*/gu)) {
    const opensSentence = /(?:^|[.?!]\s*)["'“(]*$/.test(original.slice(0, index));
    const shout = /^\p{Lu}[\p{Lu}\p{N}]+$/u.test(word) && romanNumber(word) === undefined;
    if (shout || (!opensSentence && /^\p{Lu}/u.test(word) && word !== 'I')) note(word);
  }
  return names;
}

// ---------------------------------------------------------------- Chinese

const CHINESE_FRAMES: readonly Frame[] = [
  frame('(?:什么是|何为|什么叫做?|何谓|啥是)(.+)', 'define'),
  frame(
    '(?:解释|介绍|说明|描述|讲解|讲讲|谈谈|说说|阐述|简述|概述|定义)(?:什么是)?(.+?)(?:是什么(?:意思)?|的(?:概念|定义|含义|意思))?',
    'define',
  ),
  frame(
    '(.+?)(?:和|与|跟|同)(.+?)(?:之间)?(?:的|有什么|有何|有哪些)(?:区别|差别|不同|差异)(?:是什么|在哪里|在哪儿|在哪|有哪些)?',
    'compare',
  ),
  frame('(?:比较|对比)(.+?)(?:和|与|跟)(.+)', 'compare'),
  frame('(?:为什么|为何|为啥)(.+)', 'why'),
  frame('(.+?)(?:为什么|为何|为啥)(.*)', 'why'),
  frame('(.*?)的原因(?:是什么|有哪些)?', 'why'),
  frame('(.*?)(?:什么时候|何时|哪一年|哪年|哪一天|哪天|几点|几时)(.*)', 'when'),
  frame('(.*?)(?:哪里|哪儿|何处|什么地方|在哪)(.*)', 'where'),
  frame('(.*?)(?:谁|哪位|什么人)(.*)', 'who'),
  frame('(.*?)(?:多少|几)(.*)', 'how-many'),
  frame('(.*?)(?:多长|多久|多大|多高|多远|多快|多重|多深)(.*)', 'how-degree'),
  frame('(.+?)(?:是)?(?:如何|怎么|怎样)工作(?:的)?', 'how-works'),
  frame('(.+?)的(?:工作)?原理(?:是什么)?', 'how-works'),
  frame('(.+?)(?:有什么用途?|有何用途?|的(?:用途|作用)(?:是什么|有哪些)?)', 'purpose'),
  frame('(?:如何|怎么样?|怎样)(?:才能|去|来)?(.+)', 'how'),
  frame('(.+?)(?:如何|怎么样?|怎样)(?:才能|去|来)?(.*)', 'how'),
  frame('(.+?)(?:的方法)(?:是什么|有哪些)?', 'how'),
  frame('(.*?)(?:哪个|哪些|哪种|哪一个|哪)(.*)', 'which'),
  frame(
    '(.+?)(?:的(?:定义|含义|意思|概念))?(?:是什么(?:意思|东西|呢)?|是指什么|指的是什么|是啥|什么意思)',
    'define',
  ),
  frame('(.+?)的(?:定义|含义|意思|概念)', 'define'),
  frame('(.+?)(?:吗|么)', 'yes-no'),
  frame('((?:.*)(?:是否|能否|可否|会否|A否A)(?:.*))', 'yes-no'),
];

let segmenter: Intl.Segmenter | undefined;

function chineseForm(normalised: string): QuestionForm {
  const polite = readChineseNumerals(normalised.replaceAll(/["“”'《》「」『』【】()（）]/gu, ' '))
    .replaceAll(CHINESE_FILLER, '')
    .replaceAll(CHINESE_A_NOT_A, 'A否A')
    .replaceAll(/[,，。.!！?？;；:：、\s]+/gu, ' ')
    .trim();
  const compact = polite.replaceAll(/(?<=\p{Script=Han}) | (?=\p{Script=Han})/gu, '');
  const negations = [...compact.replaceAll(CHINESE_NOT_NEGATING, '').matchAll(CHINESE_NEGATION)].length;
  let kind: QuestionKind = 'other';
  let parts: string[] = [compact];
  for (const { pattern, kind: candidate } of CHINESE_FRAMES) {
    const match = pattern.exec(compact);
    if (!match) continue;
    kind = candidate;
    parts = match.slice(1).filter(Boolean);
    break;
  }
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' });
  const segment = segmenter;
  const wordsOf = (text: string) =>
    [...segment.segment(text)]
      .filter(({ isWordLike, segment: word }) => isWordLike && !CHINESE_STOP_WORDS.has(word))
      .map(({ segment: word }) => word);
  const words = parts.flatMap(wordsOf);
  const ordered = kind === 'compare' ? parts.map((part) => wordsOf(part).join('')).sort() : [words.join('')];
  return {
    language: 'zh',
    normalised,
    kind,
    past: false,
    negations,
    numbers: parts.flatMap((part) => part.match(/\d+(?:\.\d+)?%?/g) ?? []),
    words,
    subjects: words.filter((word) => !/^\d/.test(word)),
    vocabulary: new Set(wordsOf(compact)),
    text: compact,
    modal: '',
    pointers: compact.match(/我|你|您|他|她|它|这|那/gu) ?? [],
    signs: signsOf(normalised),
    compounds: new Set(),
    relations: [],
    canonical: `${kind} ${'not '.repeat(negations % 2)}: ${ordered.join(' ')}`,
  };
}
