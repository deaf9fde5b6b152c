import type { AnswerLanguage } from '../../../core/unsupported-answer.js';
import { hasCjk } from '../text-scripts.js';
import { properTerms, questionTerms } from './terms.js';

export type QuestionType =
  | 'definition'
  | 'relation'
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
  /** What a definition is asked of, lower case. */
  readonly subject?: string;
}

const RELATION =
  /\b(?:relat(?:e[sd]?|ion|ionship)|connect(?:s|ed|ion)?|link(?:s|ed)?|path)\b.*\b(?:to|with|between|from|and)\b|\b(?:lead|leads|get) (?:from|to)\b|关系|联系|关联|有关|路径/iu;
const DEFINITION_EN =
  /^(?:please\s+)?(?:what(?:'s|\s+is|\s+are|\s+was|\s+were)|define|explain|describe|what does)\s+(?:an?\s+|the\s+|meant by\s+)?(.+?)(?:\s+mean|\s+stand for)?\s*[?.!]*$/iu;
const DEFINITION_ZH =
  /^(?:请|请问)?(?:解释|介绍)?(?:一下)?(?:什么是|什么叫|何谓)(.+?)[？?。]*$|^(.+?)(?:是什么意思|是什么|指的是什么|是指什么)[？?。]*$/u;

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
  const trimmed = text.trim().slice(0, MAX_QUESTION_CHARACTERS);
  const subject = subjectOf(trimmed);
  return {
    text: trimmed,
    language: hasCjk(trimmed) ? 'zh' : 'en',
    type: typeOf(trimmed, subject),
    terms: questionTerms(trimmed),
    proper: properTerms(trimmed),
    ...(subject && { subject }),
  };
}

function typeOf(text: string, subject: string | undefined): QuestionType {
  if (RELATION.test(text)) return 'relation';
  const typed = TYPES.find(([, pattern]) => pattern.test(text));
  if (typed) return typed[0];
  return subject ? 'definition' : 'other';
}

function subjectOf(text: string): string | undefined {
  const match = DEFINITION_EN.exec(text) ?? DEFINITION_ZH.exec(text);
  const subject = (match?.[1] ?? match?.[2])?.trim().toLowerCase();
  return subject && subject.split(/\s+/u).length <= 6 ? subject : undefined;
}

const NUMBER =
  /\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|once|twice|half|both|several|many)\b|[一二两三四五六七八九十百千万]/iu;
const DATE =
  /\b(?:1\d{3}|20\d{2})\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow|yesterday|century|morning|evening|o'clock)\b|\b\d{1,2}[:/.-]\d{1,2}\b|\d+\s*(?:am|pm)\b|[年月日号]|星期|周[一二三四五六日]|今天|明天|昨天/iu;
const NAME = /(?<!^)(?<![.!?]\s)\b\p{Lu}\p{Ll}+/u;
const PLACE = /\b(?:in|at|from|near|of|to|on)\s+(?:the\s+)?\p{Lu}\p{L}+|[市省国县区州镇村城]|位于/u;
const REASON =
  /\b(?:because|since|due to|owing to|therefore|thus|so that|in order to|as a result|reason|caused?)\b|因为|由于|所以|因此|为了|导致/iu;

/** Whether a sentence holds the kind of thing the question asks for; `undefined` when any sentence may. */
export function fitsType(type: QuestionType, sentence: string): boolean | undefined {
  switch (type) {
    case 'quantity':
      return NUMBER.test(sentence);
    case 'when':
      return DATE.test(sentence);
    case 'who':
      return NAME.test(sentence) || hasCjk(sentence);
    case 'where':
      return PLACE.test(sentence);
    case 'why':
      return REASON.test(sentence);
    default:
      return undefined;
  }
}

/** Whether `sentence` opens by saying what `subject` is. */
export function definesSubject(subject: string, sentence: string): boolean {
  const plain = sentence.toLowerCase().replace(/^(?:an?|the|in [^,]{3,40},)\s+/u, '');
  const singular = subject.replace(/s$/u, '');
  const start = [subject, singular].find((form) => form.length > 0 && plain.startsWith(form));
  if (start === undefined) return false;
  return /^s?(?:\s*[（(][^)）]{1,60}[)）])?[，,]?\s*(?:\b(?:is|are|was|were|refers?|means?|denotes?|describes?)\b|是|指|即|：|:)/u.test(
    plain.slice(start.length),
  );
}
