import type { AnswerLanguage } from '../../../core/unsupported-answer.js';
import { hasCjk } from '../text-scripts.js';
import { contentTerms, properTerms, questionTerms } from './terms.js';

export type QuestionType =
  | 'definition'
  | 'relation'
  | 'difference'
  | 'requirement'
  | 'who'
  | 'when'
  | 'where'
  | 'quantity'
  | 'why'
  | 'other';

export interface Question {
  readonly text: string;
  readonly language: AnswerLanguage;
  readonly type: QuestionType;
  /** Weight of each content term. */
  readonly terms: ReadonlyMap<string, number>;
  /** Terms written as names, numbers or quotations. */
  readonly proper: ReadonlySet<string>;
  /** What a definition or prerequisites are asked of, or the two things to relate or to compare; lower case. */
  readonly subjects: readonly string[];
  /** True for "what is not X": saying what X is would be no answer. */
  readonly negated: boolean;
}

/** What comes before the question itself. */
const LEAD_IN =
  /^(?:(?:please|kindly|hi|hello|hey|so|ok|okay)[,!]?\s+|(?:can|could|would|will) you (?:please )?(?=tell|explain|describe|define|say|let)|(?:tell me|let me know|say|i (?:want|would like|need|wish) to know|i'd like to know|do you know)\s+(?=who|what|when|where|why|how|which|whose)|(?:请问|请告诉我|告诉我|我想知道|我想问|你知道|请)[，,]?\s*)/iu;

type Pattern = readonly [QuestionType, RegExp];
/** Questions about one or two things; the groups hold them. */
const SUBJECT_PATTERNS: readonly Pattern[] = [
  ['difference', /\bdifferences?\s+between\s+(.+?)\s+and\s+(.+)$/iu],
  [
    'difference',
    /\bhow\s+(?:do|does|is|are)\s+(.+?)\s+(?:differ(?:ent)?\s+from|compared?\s+(?:to|with))\s+(.+)$/iu,
  ],
  ['difference', /^compare\s+(.+?)\s+(?:and|with|to)\s+(.+)$/iu],
  ['difference', /^(.+?)\s+(?:vs\.?|versus)\s+(.+)$/iu],
  [
    'difference',
    /^(.+?)(?:和|与|跟|同|、)(.+?)(?:之间)?(?:有|的|是)?(?:什么|哪些|何|啥)?(?:区别|不同|差异|差别|不一样)/u,
  ],
  [
    'relation',
    /\bhow\s+(?:do|does|is|are|did)\s+(.+?)\s+(?:relate[ds]?|connect(?:ed)?|link(?:ed)?)\s+(?:to|with)\s+(.+)$/iu,
  ],
  [
    'relation',
    /\b(?:relation(?:ship)?|connection|link|path)\s+(?:between|from)\s+(.+?)\s+(?:and|to)\s+(.+)$/iu,
  ],
  [
    'relation',
    /^(.+?)(?:和|与|跟|同)(.+?)(?:之间)?(?:的|是|有)?(?:什么|怎样的?|怎么样?的?|何|啥)?(?:关系|联系|关联)/u,
  ],
  ['requirement', /^what\s+(?:do|does|did)\s+(.+?)\s+(?:require|need|depend on|presuppose)$/iu],
  ['requirement', /\bprerequisites?\s+(?:of|for|to)\s+(.+)$/iu],
  [
    'requirement',
    /\b(?:learn|study|know|understand|master|need)\b.*?\b(?:before|in order to|to)\s+(?:(?:learn|study|understand|start|master)(?:ing)?\s+)?(.+)$/iu,
  ],
  ['requirement', /^(?:学习?|理解|掌握)(.+?)(?:之前|以前|前)?[，,]?(?:应该|要|应|需要|需|必须)/u],
  ['requirement', /^(.+?)(?:的)?(?:先修|前置|需要什么|需要哪些|需要先)/u],
  ['why', /^why\s+(?:do|does|did|is|are)\s+(?:there\s+)?(.+?)(?:\s+(?:happen|occur|arise|exist|appear))?$/iu],
  ['why', /^(?:为什么|为何)(?:会|要)?(?:有|出现|发生|产生|需要)(.+)$/u],
  [
    'other',
    /^how\s+(?:do|does|did|can)\s+(.+?)\s+(?:work|function|help|prevent|reduce|avoid|improve|affect|learn)\b/iu,
  ],
  ['definition', /^(?:tell me about|what do you know about)\s+(.+)$/iu],
  [
    'definition',
    /^(?:what(?:'s|\s+is|\s+are|\s+was|\s+were)|define|explain|describe|what does)\s+(?:meant by\s+)?(.+?)(?:\s+mean|\s+stand for)?$/iu,
  ],
  [
    'definition',
    /^[Ww]ho(?:'s|\s+is|\s+was|\s+are|\s+were)\s+(\p{Lu}[\p{L}.'’-]*(?:\s+(?:\p{Lu}[\p{L}.'’-]*|de|van|von|of))*)$/u,
  ],
  ['definition', /^(?:解释|介绍)?(?:一下)?(?:什么是|什么叫|何谓)(.+)$/u],
  ['definition', /^(?:解释|介绍|说明)(?:一下)?(.+)$/u],
  ['definition', /^(.+?)(?:是什么意思|是什么|指的是什么|是指什么)$/u],
  ['definition', /^([^的]+?)是(?:谁|哪位|什么人)$/u],
];
const NEGATED_DEFINITION =
  /^(?:what|who|which)(?:\s+(?:is|are|was|were)\s+not\b|\s+(?:isn|aren|wasn|weren)['’]t\b|(?:'s|’s)\s+not\b)|^(?:define|explain|describe)\s+(?:what\s+(?:is\s+)?)?not\b|^(?:什么|谁|哪些|哪个)(?:都)?不(?:是|叫|属于)|不是什么$/iu;
const RELATION =
  /\b(?:relat(?:e[sd]?|ion|ionship)|connect(?:s|ed|ion)?|link(?:s|ed)?|path)\b.*\b(?:to|with|between|from|and)\b|\b(?:lead|leads|get) (?:from|to)\b|关系|联系|关联|有关|路径/iu;

const TYPES: readonly (readonly [QuestionType, RegExp])[] = [
  [
    'quantity',
    /\bhow (?:many|much|often|long|old|far|tall|big|large)\b|多少|几[个次年天岁只本位门]|多[大久长远高]/iu,
  ],
  ['when', /\bwhen\b|\bwhat (?:year|date|day|time|month|century)\b|什么时候|何时|哪一?年|哪天|几[月点号]/iu],
  [
    'where',
    /\bwhere\b|\b(?:what|which) (?:city|country|place|town|state|location)\b|哪里|哪儿|何处|什么地方/iu,
  ],
  ['who', /\bwho(?:m|se)?\b|\bwhat (?:person|is \w+ name)\b|谁|哪位/iu],
  ['why', /\bwhy\b|\bwhat (?:is the )?(?:reason|cause)|为什么|为何|原因/iu],
];

/** What is longer is no question; patterns stay cheap on the part that is read. */
const MAX_QUESTION_CHARACTERS = 2000;

/** Reads what a question asks for. Works on surface patterns only, in English and Chinese. */
export function analyseQuestion(text: string): Question {
  const trimmed = withoutLeadIn(text.trim().slice(0, MAX_QUESTION_CHARACTERS));
  const bare = trimmed.replace(/[\s?？.!。！]+$/u, '');
  const [type, subjects] = typeOf(bare);
  return {
    text: trimmed,
    language: hasCjk(trimmed) ? 'zh' : 'en',
    type,
    terms: questionTerms(trimmed),
    proper: properTerms(trimmed),
    subjects,
    negated: NEGATED_DEFINITION.test(bare),
  };
}

function withoutLeadIn(text: string): string {
  let rest = text;
  for (let match = LEAD_IN.exec(rest); match && match[0].length < rest.length; match = LEAD_IN.exec(rest))
    rest = rest.slice(match[0].length);
  return rest;
}

function typeOf(text: string): readonly [QuestionType, readonly string[]] {
  for (const [type, pattern] of SUBJECT_PATTERNS) {
    const subjects = subjectsOf(pattern.exec(text));
    if (subjects === undefined) continue;
    const asked = type === 'definition' ? TYPES.find(([, typed]) => typed.test(text))?.[0] : undefined;
    if (type === 'definition' && RELATION.test(text)) break;
    return asked === undefined || (asked === 'who' && isWhoIs(text)) ? [type, subjects] : [asked, []];
  }
  if (RELATION.test(text)) return ['relation', []];
  return [TYPES.find(([, pattern]) => pattern.test(text))?.[0] ?? 'other', []];
}

function isWhoIs(text: string): boolean {
  return /^who\b|是(?:谁|哪位|什么人)$/iu.test(text);
}

/** `the purpose of the softmax function` and `梯度下降的定义` are about what is named there. */
function bareSubject(subject: string): string {
  return subject
    .replace(/^(?:an?|the)\s+/u, '')
    .replace(/^(?:use|purpose|role|meaning|definition|idea|concept|point)\s+of\s+(?:(?:an?|the)\s+)?/u, '')
    .replace(/的(?:定义|意思|含义|作用|概念|用途)$/u, '');
}

function subjectsOf(match: RegExpExecArray | null): readonly string[] | undefined {
  if (!match) return undefined;
  const subjects = match.slice(1).map((subject) => bareSubject((subject ?? '').trim().toLowerCase()));
  return subjects.every((subject) => subject !== '' && subject.split(/\s+/u).length <= 6)
    ? subjects
    : undefined;
}

const NUMBER =
  /\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|once|twice|half|both|several|many)\b|[一二两三四五六七八九十百千万]/iu;
const DATE =
  /\b(?:1\d{3}|20\d{2})\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow|yesterday|century|morning|evening|o'clock)\b|\b\d{1,2}[:/.-]\d{1,2}\b|\d+\s*(?:am|pm)\b|[年月日号]|星期|周[一二三四五六日]|今天|明天|昨天/iu;
const NAME = /\b\p{Lu}\p{Ll}+/gu;
const PLACE = /\b(?:in|at|from|near|of|to|on)\s+(?:the\s+)?\p{Lu}\p{L}+|[市省国县区州镇村城]|位于/u;
const REASON =
  /\b(?:because|since|due to|owing to|therefore|thus|so that|in order to|as a result|reason|caused?|leads? to|results? (?:in|from)|arises?|occurs? when|happens? when)\b|因为|由于|所以|因此|为了|导致/iu;

const NOTHING_KNOWN: ReadonlyMap<string, number> = new Map();

/** Whether a sentence has a name that the question does not have. */
function namesSomeone(sentence: string, known: ReadonlyMap<string, number>): boolean {
  return [...sentence.matchAll(NAME)].some(([name]) => contentTerms(name).some((term) => !known.has(term)));
}

/**
 * Whether a sentence holds the kind of thing the question asks for; `undefined` when any sentence may. `known` are
 * the question's terms: a person it names already is no answer.
 */
export function fitsType(
  type: QuestionType,
  sentence: string,
  known: ReadonlyMap<string, number> = NOTHING_KNOWN,
): boolean | undefined {
  switch (type) {
    case 'quantity':
      return NUMBER.test(sentence);
    case 'when':
      return DATE.test(sentence);
    case 'who':
      return namesSomeone(sentence, known) || hasCjk(sentence);
    case 'where':
      return PLACE.test(sentence);
    case 'why':
      return REASON.test(sentence);
    default:
      return undefined;
  }
}

/** A relation with its reason, as a list of relations writes it: no running text. */
const LABEL = /^[^.:：]{3,90}: \p{Lu}/u;
const SAYS_WHAT =
  /^s?(?:\s*[（(][^)）]{1,60}[)）])?[，,]?\s*(?:\b(?:is|are|was|were)\b(?!\s+(?:an? |the )?(?:prerequisites?|required|needed|necessary|used|part|based|related|mentioned|not)\b)|\b(?:refers?|means?|denotes?|describes?)\b|是(?!.{0,16}的(?:先修|前提|前置))|指|即|：|:)/u;

export function isLabel(sentence: string): boolean {
  return LABEL.test(sentence);
}

/** Whether `sentence` opens by saying what `subject` is; the name may stand in brackets behind another one. */
export function definesSubject(subject: string, sentence: string): boolean {
  if (isLabel(sentence)) return false;
  const plain = sentence
    .toLowerCase()
    .replace(/^in [^,]{3,40},\s+/u, '')
    .replace(/^(?:an?|the)\s+/u, '')
    .replace(/^[《「“"]|[》」”"](?=是|为)/gu, '');
  const forms = [subject, ...singularsOf(subject)];
  const start = forms.find((form) => plain.startsWith(form));
  if (start !== undefined) return SAYS_WHAT.test(plain.slice(start.length));
  const glossed = /^[^(（,，.。]{1,60}[(（]([^)）]{1,60})[)）]/u.exec(plain);
  if (!glossed) return false;
  const glosses = (glossed[1] ?? '').split(/[,，;；]/u).map((gloss) => gloss.trim());
  return glosses.some((gloss) => forms.includes(gloss)) && SAYS_WHAT.test(plain.slice(glossed[0].length));
}

/** Whether `sentence` gives `subject` another name in brackets, as texts do where they first use a term. */
export function introduces(subject: string, sentence: string): boolean {
  const plain = sentence.toLowerCase();
  return [' (', '(', '（'].some((bracket) => plain.includes(`${subject}${bracket}`));
}

function singularsOf(subject: string): string[] {
  if (/ies$/u.test(subject)) return [`${subject.slice(0, -3)}y`];
  return /[^s]s$/u.test(subject) && subject.length > 3 ? [subject.slice(0, -1)] : [];
}
