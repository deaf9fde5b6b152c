const MONTHS = 'january february march april may june july august september october november december'.split(
  ' ',
);
const MONTH = `(${MONTHS.map((name) => `${name.slice(0, 3)}[a-z]*`).join('|')})`;
const DATE = new RegExp(
  [
    `\\b(?<d1>\\d{1,2})(?:st|nd|rd|th)?\\s+${MONTH.replace('(', '(?<m1>')}\\.?,?\\s+(?<y1>\\d{3,4})\\b`,
    `\\b${MONTH.replace('(', '(?<m2>')}\\.?\\s+(?:(?<d2>\\d{1,2})(?:st|nd|rd|th)?,?\\s+)?(?<y2>\\d{3,4})\\b`,
    '(?<y3>\\d{3,4})年(?:(?<m3>\\d{1,2})月(?:(?<d3>\\d{1,2})[日号])?)?',
    '(?<![\\d.,-])\\b(?<y4>1\\d{3}|20\\d{2})\\b(?![\\d,.]*\\d)',
  ].join('|'),
  'giu',
);

/** A date of which at least the year is known; comparable as a number, `yyyymmdd`, with 0 for what is not known. */
export interface FoundDate {
  readonly value: number;
  /** Where it stands in the text. */
  readonly index: number;
}

/** Dates of a text in the order in which they stand there, English and Chinese. */
export function datesIn(text: string): readonly FoundDate[] {
  return [...text.matchAll(DATE)].map(({ groups = {}, index }) => {
    const { d1, m1, y1, d2, m2, y2, y3, m3, d3, y4 } = groups;
    const year = Number(y1 ?? y2 ?? y3 ?? y4);
    const name = (m1 ?? m2)?.slice(0, 3).toLowerCase();
    const month = m3
      ? Number(m3)
      : name
        ? MONTHS.findIndex((candidate) => candidate.startsWith(name)) + 1
        : 0;
    return { value: year * 10_000 + month * 100 + Number(d1 ?? d2 ?? d3 ?? 0), index };
  });
}

const BRACKETS = /[(（]([^()（）]*(?:[(（][^()（）]*[)）][^()（）]*)*)[)）]/gu;
const BORN = /\bborn\b|\bb\.|生于|出生|生$/iu;
const DIED = /\bdied\b|\bdeath\b|\bd\.|逝世|去世|卒于|卒$/iu;

/** When someone was born and died, by how texts that introduce a person write it. */
export function lifeDates(text: string): { readonly born?: number; readonly died?: number } {
  for (const [, inside = ''] of text.matchAll(BRACKETS)) {
    const dates = datesIn(inside);
    const [first, second] = dates;
    if (!first) continue;
    const onlyDied = dates.length === 1 && DIED.test(inside) && !BORN.test(inside);
    if (onlyDied) return { died: first.value };
    const isLife = second && /[–—－~～-]|\bto\b|died|至|逝|卒/u.test(inside.slice(first.index, second.index));
    if (BORN.test(inside) || isLife) return { born: first.value, ...(isLife && { died: second.value }) };
  }
  const dates = datesIn(text);
  const after = (pattern: RegExp) => {
    const at = text.search(pattern);
    return at < 0 ? undefined : dates.find(({ index }) => index > at && index - at < 60)?.value;
  };
  const [born, died] = [after(/\bborn\b|生于|出生于/iu), after(/\bdied\b|逝世|去世|卒于/iu)];
  return { ...(born !== undefined && { born }), ...(died !== undefined && { died }) };
}
