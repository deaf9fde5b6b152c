/** A stretch of time that a question names, `to` excluded; or a day or month of whatever year. In UTC. */
export type NamedTime =
  | { readonly kind: 'range'; readonly from: Date; readonly to: Date }
  | { readonly kind: 'calendar'; readonly month: number; readonly day?: number };

const DAY_MS = 86_400_000;
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const MONTH =
  '(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)';
const NUMBERS: Readonly<Record<string, number>> = {
  a: 1,
  an: 1,
  one: 1,
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  ten: 10,
  一: 1,
  二: 2,
  两: 2,
  三: 3,
  四: 4,
  五: 5,
  六: 6,
  七: 7,
  八: 8,
  九: 9,
  十: 10,
};
const UNIT_MS: Readonly<Record<string, number>> = {
  day: DAY_MS,
  天: DAY_MS,
  日: DAY_MS,
  week: 7 * DAY_MS,
  周: 7 * DAY_MS,
  星期: 7 * DAY_MS,
  礼拜: 7 * DAY_MS,
  month: 30 * DAY_MS,
  月: 30 * DAY_MS,
  year: 365 * DAY_MS,
  年: 365 * DAY_MS,
};

function monthNumber(name: string): number {
  return MONTHS.indexOf(name.slice(0, 3).toLowerCase()) + 1;
}

function amountOf(text: string): number | undefined {
  return /^\d{1,3}$/.test(text) ? Number(text) : NUMBERS[text.toLowerCase()];
}

function isDate(month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

function dayRange(start: number, days = 1): NamedTime {
  return { kind: 'range', from: new Date(start), to: new Date(start + days * DAY_MS) };
}

function dated(year: string | undefined, month: number, day: number): readonly NamedTime[] {
  if (!isDate(month, day)) return [];
  return [year ? dayRange(Date.UTC(Number(year), month - 1, day)) : { kind: 'calendar', month, day }];
}

function monthly(year: string | undefined, month: number): readonly NamedTime[] {
  if (month < 1 || month > 12) return [];
  if (!year) return [{ kind: 'calendar', month }];
  const y = Number(year);
  return [{ kind: 'range', from: new Date(Date.UTC(y, month - 1)), to: new Date(Date.UTC(y, month)) }];
}

/** Monday of the week that `day` is in. */
function weekStart(day: number): number {
  return day - ((new Date(day).getUTCDay() + 6) % 7) * DAY_MS;
}

function lastOf(unit: string, today: number): NamedTime {
  const date = new Date(today);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  if (/^(month|个?月)$/.test(unit))
    return { kind: 'range', from: new Date(Date.UTC(year, month - 1)), to: new Date(Date.UTC(year, month)) };
  if (/^(year|年)$/.test(unit))
    return { kind: 'range', from: new Date(Date.UTC(year - 1, 0)), to: new Date(Date.UTC(year, 0)) };
  return dayRange(weekStart(today) - 7 * DAY_MS, 7);
}

type Rule = readonly [
  RegExp,
  (groups: readonly (string | undefined)[], today: number) => readonly NamedTime[],
];

const RULES: readonly Rule[] = [
  [/\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)/gu, ([y, m, d]) => dated(y, Number(m), Number(d))],
  [/(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)/gu, ([y, m, d]) => dated(y, Number(m), Number(d))],
  [
    /(?:(\d{4})\s*年)?\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?/gu,
    ([y, m, d]) => dated(y, Number(m), Number(d)),
  ],
  [/(?:(\d{4})\s*年)\s*(\d{1,2})\s*月(?!\s*\d)/gu, ([y, m]) => monthly(y, Number(m))],
  [/(?<![\d年])\s*(\d{1,2})\s*月份?(?!\s*\d)/gu, ([m]) => monthly(undefined, Number(m))],
  [
    new RegExp(`\\b${MONTH}\\.?\\s+(\\d{1,2})(?:st|nd|rd|th)?\\b(?!\\s*:)(?:,?\\s+(\\d{4})\\b)?`, 'giu'),
    ([m, d, y]) => dated(y, monthNumber(m!), Number(d)),
  ],
  [
    new RegExp(`\\b(\\d{1,2})(?:st|nd|rd|th)?\\s+(?:of\\s+)?${MONTH}\\b(?:,?\\s+(\\d{4})\\b)?`, 'giu'),
    ([d, m, y]) => dated(y, monthNumber(m!), Number(d)),
  ],
  [
    new RegExp(
      `\\b(?:in|during|since|early|late|mid)[\\s-]+${MONTH}\\b(?!\\s+\\d{1,2}\\b)(?:,?\\s+(\\d{4})\\b)?`,
      'giu',
    ),
    ([m, y]) => monthly(y, monthNumber(m!)),
  ],
  [/\bday before yesterday\b|前天/giu, (_, today) => [dayRange(today - 2 * DAY_MS)]],
  [/(?<!day before )\byesterday\b|昨[天晚日]/giu, (_, today) => [dayRange(today - DAY_MS)]],
  [/\btoday\b|今天/giu, (_, today) => [dayRange(today)]],
  [/\blast\s+(week|month|year)\b/giu, ([unit], today) => [lastOf(unit!.toLowerCase(), today)]],
  [/上(周|星期|礼拜|个?月)|去(年)/gu, ([unit, year], today) => [lastOf(year ?? unit!, today)]],
  [
    /\b(\d{1,3}|an?|one|two|three|four|five|six|seven|ten)\s+(day|week|month|year)s?\s+ago\b/giu,
    ([amount, unit], today) => ago(amount!, unit!.toLowerCase(), today),
  ],
  [
    /(\d{1,3}|[一二两三四五六七八九十])\s*个?(天|日|周|星期|礼拜|月|年)(?:以|之)?前/gu,
    ([amount, unit], today) => ago(amount!, unit!, today),
  ],
];

/** The day itself for days; for longer units, half a unit on either side. */
function ago(amount: string, unit: string, today: number): readonly NamedTime[] {
  const count = amountOf(amount);
  const size = UNIT_MS[unit];
  if (count === undefined || size === undefined) return [];
  const middle = today - count * size;
  const slack = size > DAY_MS ? Math.floor(size / DAY_MS / 2) : 0;
  return [dayRange(middle - slack * DAY_MS, 2 * slack + 1)];
}

/**
 * The times a question names, English and Chinese: dates with and without a year, months, yesterday, last week,
 * three days ago. Relative ones are seen from `now` (milliseconds since the Unix epoch), in UTC.
 */
export function namedTimes(question: string, now: number): readonly NamedTime[] {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  const found = new Map<string, NamedTime>();
  for (const [pattern, read] of RULES)
    for (const [, ...groups] of question.matchAll(pattern))
      for (const time of read(groups, today)) found.set(JSON.stringify(time), time);
  return [...found.values()];
}
