import { searchWords } from '../memory/search-words.js';

/** What a sentence says about what: enough to tell whether a later one replaces it. */
export interface Statement {
  /** Stems of what it is about, without values, cues and the words that only join them. */
  readonly subject: ReadonlySet<string>;
  /** Value per kind of value: `date`, `time`, `money`, `number minut`, `name`, `home`, `is`. */
  readonly values: ReadonlyMap<string, string>;
  /** True for "was moved to", "instead", "actually", 改到, 其实. */
  readonly corrects: boolean;
  /** True for "is cancelled", 取消. */
  readonly cancels: boolean;
  /** Stems of what it says is no longer so ("not X but Y", "instead of X", 不是X而是Y). */
  readonly denied: ReadonlySet<string>;
  /** Stems of its subject and its values together. */
  readonly told: ReadonlySet<string>;
  /** True when it says no to its verb ("I don't like tea", 我不喜欢茶). */
  readonly negative: boolean;
}

const MONTHS =
  'jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?';
const WEEKDAYS = '(?:mon|tues|wednes|thurs|fri|satur|sun)day';
const SMALL = 'one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve';
const ZH_NUMBER = '[零〇一二两三四五六七八九十百千万\\d]+';

/** Values in text, the more telling ones first; each is taken out before the next is looked for. */
const VALUES: readonly (readonly [string, RegExp])[] = [
  [
    'date',
    new RegExp(
      `\\b(?:(?:${WEEKDAYS}),?\\s+)?(?:the\\s+)?\\d{1,2}(?:st|nd|rd|th)?\\s+(?:of\\s+)?(?:${MONTHS})\\b(?:,?\\s+\\d{4})?`,
      'giu',
    ),
  ],
  [
    'date',
    new RegExp(
      `\\b(?:(?:${WEEKDAYS}),?\\s+)?(?:${MONTHS})\\.?\\s+\\d{1,2}(?:st|nd|rd|th)?\\b(?:,?\\s+\\d{4})?`,
      'giu',
    ),
  ],
  [
    'date',
    /\b\d{4}-\d{1,2}-\d{1,2}\b|(?:\d{4}年)?\d{1,2}月(?:\d{1,2}[日号]?)?|[这下上]?(?:周|星期|礼拜)[一二三四五六日天]/gu,
  ],
  [
    'date',
    new RegExp(
      `\\b(?:next\\s+|this\\s+)?(?:${WEEKDAYS})s?\\b|\\b(?:in|until|by|to|for)\\s+(?:${MONTHS})\\b|\\bthe\\s+\\d{1,2}(?:st|nd|rd|th)\\b|\\btomorrow\\b|明天|后天`,
      'giu',
    ),
  ],
  [
    'time',
    new RegExp(
      `\\b\\d{1,2}(?::\\d{2})?\\s*(?:a\\.?m\\.?|p\\.?m\\.?)(?![a-z])|\\b\\d{1,2}:\\d{2}\\b|\\b(?:noon|midnight)\\b|\\b(?:at|to|until)\\s+(?:${SMALL}|\\d{1,2})\\s+o'?clock\\b|(?:上午|下午|晚上|早上|中午)?${ZH_NUMBER}点(?:半|${ZH_NUMBER}分?)?`,
      'giu',
    ),
  ],
  [
    'money',
    new RegExp(
      `[$€£¥]\\s*\\d[\\d.,]*|\\b\\d[\\d.,]*\\s*(?:dollars?|euros?|pounds?|yuan|usd|eur|rmb)\\b|${ZH_NUMBER}(?:元|块钱?|美元|欧元)`,
      'giu',
    ),
  ],
  ['percent', /\d[\d.,]*\s*(?:%|percent\b)|百分之[零一二三四五六七八九十百]+/giu],
];
const COUNT = new RegExp(
  `(?<![\\p{L}\\d])(\\d[\\d.,]*|${SMALL})\\s+(?:more\\s+)?(\\p{L}+)|(${ZH_NUMBER})\\s*([个道人位岁名本次页章节天周年月分秒号楼层室门组分钟小时]+)`,
  'giu',
);
const PLAIN_NUMBER = /(?<![\p{L}\d])#?[a-z]?\d[\d.,\-a-z]*/giu;

const NAMES: readonly (readonly [string, RegExp])[] = [
  [
    'nickname',
    /\b(?:[Cc]all me|goes by)\s+(\p{Lu}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)|(?:叫我|可以叫我)([\p{L}]{1,6})/u,
  ],
  [
    'name',
    /\bnames?(?:'s|\sis|\sare)\s+(?:actually\s+|really\s+|now\s+)?(\p{Lu}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)|\b(?:called|named)\s+(\p{Lu}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)|(?:名字是|名叫|叫做|改名叫|改名为|叫)([\p{L}]{1,6})/u,
  ],
  [
    'home',
    /\b(?:live|living|moved|relocated|based)\s+(?:in|to)\s+(\p{Lu}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)|(?:住在|搬到|搬去|定居在)了?([\p{L}]{1,6})/u,
  ],
  [
    'employer',
    /\b(?:work|working|job)\s+(?:at|for|as)\s+(?:an?\s+|the\s+)?(\p{L}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)|(?:就职于|任职于)([\p{L}]{1,8})/u,
  ],
];
/** What a person has one of. */
const OF_A_PERSON = ['nickname', 'name', 'home', 'employer'];
/** "My X is Y": one X has one Y. */
const COPULA =
  /\b(?:my|our)\s+([\p{L}\s'-]{2,40}?)\s+(?:is|are|will be|was changed to|has changed to|is now|changed to)\s+(?:now\s+|actually\s+)?(.+)$|(?:我的|我们的)?([\p{Script=Han}]{2,10}?)(?:现在)?(?:是|改成了?|改为|换成了?|变成了?)([^而]+)$/iu;

const CORRECTS =
  /\b(?:moved|postponed|rescheduled|pushed|delayed|brought forward|changed|switched|updated|shifted|extended|shortened|raised|lowered|increased|reduced)\b|\binstead\b|\bactually\b|\bcorrection\b|\bno longer\b|\bnot any ?more\b|\bany ?more\b|\brather than\b|\bi meant\b|\bi was wrong\b|\bsorry\b|\bchanged my mind\b|\bfrom now on\b|\bnow\b|\bon second thought\b|改到|改成|改为|改在|换成|换到|换为|推迟|延期|提前|更正|其实|不再|而是|说错|记错|变成|涨到|降到|增加到|减少到|现在|改主意/iu;
const CANCELS = /\b(?:cancell?ed|called off|won't take place|will not take place)\b|取消|不办了|不开了/iu;
const DENIED =
  /\b(?:not|isn't|aren't|wasn't)\s+(?:on\s+|at\s+|in\s+|about\s+|with\s+)?([^,;.]+?)(?:,?\s+but\b|;|,)|\b(?:instead of|rather than|no longer|not)\s+([^,;.]+)|不是(.+?)[，,]?而是|不再(.+?)(?:了|[，,。]|$)/iu;
const NEGATIVE =
  /\b(?:do not|don't|does not|doesn't|no longer|never|not|can't stand|hate|dislike|stopped)\b|不喜欢|不想|不要|不再|讨厌|不爱/iu;
/** Words that tell of the change, not of what changed. */
const FILLER = new Set(
  searchWords(
    'moved postponed rescheduled pushed delayed forward changed switched updated shifted extended shortened raised ' +
      'lowered increased reduced actually correction longer instead rather meant wrong sorry mind now new date time ' +
      'day takes place held scheduled set called named name names till until after all think decided plan want like ' +
      'prefer need go get really anymore back take brought cancelled canceled called off hold today just got said ' +
      'happen happens lets costs cost lasts last fact favourite favorite love hate dislike live lives living based relocated work works working job',
  ),
);
/** The same in Chinese, taken out before words are paired. */
const ZH_FILLER =
  /改到|改成|改为|改在|换成|换到|换为|推迟到?|延期到?|提前到?|更正|其实|不再|而是|说错|记错|变成|涨到|降到|增加到|减少到|现在|改主意|取消|决定|打算|计划|喜欢|我们|时间|日期|定在|安排|举行|已经|原来|一共|大概|最后|一下|不想|想要|名字|叫做|名叫|改名|住在|搬到|搬去/gu;

/** Reads a sentence, English or Chinese. */
export function readStatement(text: string): Statement {
  const values = new Map<string, string>();
  let rest = text.normalize('NFKC');
  const denied = DENIED.exec(rest);
  const deniedText = denied ? (denied[1] ?? denied[2] ?? denied[3] ?? denied[4] ?? '') : '';
  if (deniedText !== '') rest = rest.replace(deniedText, ' ');
  const take = (kind: string, value: string) => {
    values.set(kind, normalValue(value));
  };
  for (const [kind, pattern] of NAMES) {
    const match = pattern.exec(rest);
    if (!match) continue;
    const value = match.slice(1).find((group) => group !== undefined)!;
    take(kind, value);
    rest = rest.replace(value, ' ');
  }
  for (const [kind, pattern] of VALUES)
    rest = rest.replace(pattern, (value) => {
      take(kind, value);
      return ' ';
    });
  rest = rest.replace(COUNT, (_, number, unit, zhNumber, zhUnit) => {
    take(`number ${searchWords(unit ?? zhUnit)[0] ?? ''}`, number ?? zhNumber);
    return ` ${unit ?? ''} `;
  });
  rest = rest.replace(PLAIN_NUMBER, (number) => {
    take('number', number);
    return ' ';
  });
  const copula = COPULA.exec(text.replace(/[.!。！]+$/u, ''));
  let about = rest;
  if (copula && values.size === 0) {
    const [, english, value, chinese, zhValue] = copula;
    take('is', value ?? zhValue ?? '');
    about = english ?? chinese ?? rest;
  }
  const subject = subjectOf(
    about,
    OF_A_PERSON.some((kind) => values.has(kind)),
  );
  return {
    subject,
    told: new Set([...subject, ...[...values.values()].flatMap((value) => searchWords(value))]),
    values,
    corrects: CORRECTS.test(text) || denied !== null,
    cancels: CANCELS.test(text),
    denied: new Set(searchWords(deniedText)),
    negative: NEGATIVE.test(text),
  };
}

/** `ofAPerson`: without words of its own, it is about the speaker. */
function subjectOf(text: string, ofAPerson: boolean): ReadonlySet<string> {
  const words = searchWords(text.replace(ZH_FILLER, ' '));
  const telling = words.filter((word) => !FILLER.has(word));
  return new Set(telling.length > 0 || ofAPerson ? telling : words);
}

function normalValue(value: string): string {
  return value
    .toLowerCase()
    .replace(/(\d)(?:st|nd|rd|th)\b/g, '$1')
    .replace(/\b(?:of|the|on|at|to|in|until|by|for|next|this)\b|[\s.,，。!！号日]/gu, '')
    .replace(/^(\d+)([a-z]+)/, '$2$1');
}

function shared(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let count = 0;
  for (const word of one) if (other.has(word)) count += 1;
  return count;
}

/** Share of the words of both that a statement without a cue needs in common to be about the same thing. */
const SAME_SUBJECT = 0.75;
/** Share of the shorter one's words that a correction needs. */
const CORRECTED_SUBJECT = 0.6;

/**
 * Whether `later` replaces what `earlier` says. Two statements about the same thing with different values of the
 * same kind do; a correction needs to share less of its words; "not X but Y" replaces what says X.
 */
export function replaces(later: Statement, earlier: Statement): boolean {
  const common = shared(later.subject, earlier.subject);
  const kinds = [...later.values.keys()].filter((kind) => earlier.values.has(kind));
  if (common === 0 && kinds.length === 0 && later.denied.size === 0) return false;
  const smaller = Math.min(later.subject.size, earlier.subject.size);
  const larger = Math.max(later.subject.size, earlier.subject.size);
  const differs = kinds.some((kind) => later.values.get(kind) !== earlier.values.get(kind));
  const sameSubject = (common > 0 && common / larger >= SAME_SUBJECT) || (larger === 0 && kinds.length > 0);
  if (later.cancels) return common > 0 && common / smaller >= CORRECTED_SUBJECT;
  if (later.denied.size > 0 && shared(later.denied, earlier.told) / later.denied.size >= CORRECTED_SUBJECT)
    return true;
  if (kinds.length > 0) {
    if (!differs) return false;
    if (sameSubject) return true;
    return (
      later.corrects && common > 0 && common / smaller >= CORRECTED_SUBJECT && !conflicting(later, earlier)
    );
  }
  if (later.values.size > 0 || earlier.values.size > 0) return false;
  if (sameSubject && later.negative !== earlier.negative) return true;
  return later.corrects && common > 0 && common / smaller >= 0.5;
}

/** Two things that are told apart by a word each ("the physics exam", "the maths exam") are two things. */
function conflicting(later: Statement, earlier: Statement): boolean {
  const own = (one: Statement, other: Statement) => [...one.subject].some((word) => !other.subject.has(word));
  return own(later, earlier) && own(earlier, later) && shared(later.subject, earlier.subject) < 2;
}
