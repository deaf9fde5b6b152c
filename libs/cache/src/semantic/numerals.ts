const UNITS = [
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
  'thirteen',
  'fourteen',
  'fifteen',
  'sixteen',
  'seventeen',
  'eighteen',
  'nineteen',
];
const TENS = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];
const SCALES: Readonly<Record<string, number>> = {
  hundred: 100,
  thousand: 1_000,
  million: 1_000_000,
  billion: 1_000_000_000,
};
const ORDINALS: Readonly<Record<string, number>> = {
  third: 3,
  fourth: 4,
  fifth: 5,
  sixth: 6,
  seventh: 7,
  eighth: 8,
  ninth: 9,
  tenth: 10,
};
const SIMPLE = new Map<string, number>([
  ...UNITS.map((word, value) => [word, value] as const),
  ...TENS.map((word, index) => [word, 20 + 10 * index] as const),
]);
/** After these, `one` counts; elsewhere it is a pronoun. */
const COUNTED =
  /^(?:chapter|part|step|level|phase|type|section|lesson|unit|question|week|day|grade|class|version|volume|stage|round|season|episode|number|plus|times)$/;

export interface EnglishNumber {
  readonly value: string;
  /** Words it took. */
  readonly length: number;
}

/** The number that begins at a word: digits, number words ("twenty five"), ordinals or Roman numerals. */
export function readEnglishNumber(words: readonly string[], index: number): EnglishNumber | undefined {
  const word = words[index] ?? '';
  const digits = /^(\d+(?:[.,]\d+)*)(?:st|nd|rd|th|(?<=\d{4})s)?$/.exec(word);
  if (digits?.[1])
    return { value: digits[1].replaceAll(/,(?=\d{3}(?:\D|$))/g, '').replace(/^0+(?=\d)/, ''), length: 1 };
  const short = /^(\d+(?:\.\d+)?)k$/.exec(word)?.[1];
  if (short) return { value: String(Number(short) * 1000), length: 1 };
  const roman = index > 0 ? romanNumber(word.toUpperCase()) : undefined;
  if (roman !== undefined) return { value: String(roman), length: 1 };
  if (word in ORDINALS) return { value: String(ORDINALS[word]), length: 1 };
  if (word === 'one' && !COUNTED.test(words[index - 1] ?? '') && !((words[index + 1] ?? '') in SCALES))
    return undefined;
  return SIMPLE.has(word) ? readSpelled(words, index) : undefined;
}

function readSpelled(words: readonly string[], start: number): EnglishNumber {
  let total = 0;
  let group = 0;
  let index = start;
  for (; index < words.length; index++) {
    const word = words[index] ?? '';
    const simple = SIMPLE.get(word);
    const scale = SCALES[word];
    if (simple !== undefined && (index === start || fits(group, simple))) group += simple;
    else if (scale === 100) group = Math.max(1, group) * scale;
    else if (scale !== undefined) {
      total += Math.max(1, group) * scale;
      group = 0;
    } else break;
  }
  return { value: String(total + group), length: index - start };
}

/** "twenty" takes "five" but not "thirty". */
function fits(group: number, next: number): boolean {
  if (group === 0) return true;
  if (group % 100 === 0) return true;
  return group % 100 >= 20 && group % 10 === 0 && next < 10;
}

/** II … XXXIX. A single letter is not taken for a number. */
export function romanNumber(word: string): number | undefined {
  if (word.length < 2 || !/^X{0,3}(?:IX|IV|V?I{0,3})$/.test(word)) return undefined;
  const values: Readonly<Record<string, number>> = { I: 1, V: 5, X: 10 };
  let sum = 0;
  for (let index = 0; index < word.length; index++) {
    const value = values[word[index] ?? ''] ?? 0;
    sum += value < (values[word[index + 1] ?? ''] ?? 0) ? -value : value;
  }
  return sum;
}

const DIGITS: Readonly<Record<string, number>> = {
  零: 0,
  〇: 0,
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
};
const POWERS: Readonly<Record<string, number>> = { 十: 10, 百: 100, 千: 1_000, 万: 10_000, 亿: 100_000_000 };
const NUMERAL = '[零〇一二两三四五六七八九十百千万亿]';
/** A numeral counts when it is long, ordinal, or stands before a measure; `一` alone is mostly grammar. */
const CHINESE_NUMBER = new RegExp(
  `第(${NUMERAL}+)|(${NUMERAL}{2,})|([二两三四五六七八九十])(?=[个章节天年月日次种步条位名本课周岁元倍层类点度阶维部分小时])|(?<=[第周])([一])`,
  'gu',
);

/** Writes Chinese numerals as digits: `第三章` → `第3章`, `二十五天` → `25天`. */
export function readChineseNumerals(text: string): string {
  return text.replaceAll(CHINESE_NUMBER, (whole, ordinal?: string, long?: string, counted?: string) => {
    const numeral = ordinal ?? long ?? counted ?? whole;
    const value = chineseNumber(numeral);
    return value === undefined ? whole : `${ordinal ? '第' : ''}${value}`;
  });
}

function chineseNumber(numeral: string): number | undefined {
  if (!/[十百千万亿]/u.test(numeral))
    return Number([...numeral].map((digit) => DIGITS[digit] ?? '').join(''));
  if (/^[万亿]/u.test(numeral)) return undefined;
  let total = 0;
  let section = 0;
  let digit = 0;
  for (const sign of numeral) {
    const power = POWERS[sign];
    if (power === undefined) digit = DIGITS[sign] ?? 0;
    else if (power < 10_000) {
      section += (digit || 1) * power;
      digit = 0;
    } else {
      total += (section + digit || 1) * power;
      section = 0;
      digit = 0;
    }
  }
  return total + section + digit;
}
