import { STOP_WORDS } from '../index/analyse.js';
import type { EntityType } from '../model.js';

/** An entity seen at a place of a text. */
export interface EntitySpan {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly type: EntityType;
  readonly confidence: number;
}

const MONTHS = 'January|February|March|April|May|June|July|August|September|October|November|December';
const DATE = new RegExp(
  `\\b(?:(?:\\d{1,2}(?:st|nd|rd|th)? )?(?:${MONTHS}) (?:\\d{1,2}(?:st|nd|rd|th)?, ?)?\\d{4}|(?:1[0-9]|20)\\d\\ds?)\\b`,
  'g',
);
const YEAR = /\b(?:1[0-9]|20)\d\d\b/;
const QUOTED = /(?:"|“|``)([^"“”`\n]{2,80}?)(?:"|”|''|``)/g;
/** A word; a Chinese character beside it is not part of it: `RMSProp和SGD` has two. */
const TOKEN =
  /(?!\p{Script=Han})[\p{L}\p{N}](?:(?!\p{Script=Han})[\p{L}\p{M}\p{N}&]|['’.](?=\p{L})|[-–](?=[\p{L}\p{N}]))*/gu;

/** Lower-case words that may stand inside a name, between two capitalised ones. */
const INNER = new Set(
  'of the de la le du des da di del della der den van von und y e bin ibn al el ap for at in on a an to'.split(
    ' ',
  ),
);
/** Of these, the ones that join names only as part of `of the` and the like, or in titles of works. */
const WEAK_INNER = new Set('for at in on a an to the'.split(' '));

/** Capitalised at the start of sentences without being names. */
const STARTERS = new Set(
  (
    'although though despite however since because during after before under over between among within without ' +
    'several many most some all both each every another others one two three four five six seven eight nine ten ' +
    'first second third later currently today now then there here also thus hence therefore moreover furthermore ' +
    'according additionally additional based born located originally recently like unlike named known written ' +
    'directed produced released founded established when where while who whom whose which what why how if unless ' +
    'until upon whether along alongside around following given including instead meanwhile nevertheless often ' +
    'other others once only overall people previously prior soon such sometimes subsequently together usually ' +
    'various yes no not never just even still yet per plus regarding rather let consider suppose note see use ' +
    'using used learning'
  ).split(' '),
);
const PLURAL_OR_PRONOUN = new Set(
  'he she it they we you i this that these those his her its their our my'.split(' '),
);

const ORGANISATION =
  /\b(?:University|College|School|Institute|Company|Corporation|Corp|Inc|Ltd|Club|Association|Society|Union|Party|Agency|Ministry|Department|Council|Committee|Foundation|Records|Orchestra|Band|Museum|Bank|Airlines|League|Church|Press|Studios?|Pictures|Entertainment|Army|Navy|F\.?C\.?)\b/;
const PLACE =
  /\b(?:City|County|River|Lake|Mountains?|Island|Islands|Street|Road|Park|Province|State|States|District|Bay|Valley|Kingdom|Republic|Ocean|Sea|Village|Township|Airport|Station)\b/;

interface Token {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly capital: boolean;
  readonly first: boolean;
}

/**
 * Names in a Latin-script text: runs of capitalised words with the small words inside them, dates and years,
 * quoted titles. `sentenceStarts` are positions where a capital proves nothing. Linear in the text.
 */
export function findEnglishSpans(text: string, sentenceStarts: ReadonlySet<number>): EntitySpan[] {
  const spans: EntitySpan[] = [];
  for (const match of text.matchAll(QUOTED)) {
    const name = match[1]!.trim().replace(/[,.;:]$/, '');
    if (!/^[\p{Lu}\p{N}]/u.test(name) || name.split(/\s+/).length > 10) continue;
    const start = match.index + match[0].indexOf(match[1]!);
    spans.push({ start, end: start + match[1]!.length, name, type: 'work', confidence: 0.8 });
  }
  for (const match of text.matchAll(DATE)) {
    spans.push({
      start: match.index,
      end: match.index + match[0].length,
      name: match[0],
      type: 'date',
      confidence: 0.9,
    });
    const year = YEAR.exec(match[0]);
    if (year && year[0] !== match[0]) {
      const start = match.index + year.index;
      spans.push({ start, end: start + 4, name: year[0], type: 'date', confidence: 0.9 });
    }
  }
  const dates = spans.filter(({ type }) => type === 'date').sort((left, right) => left.start - right.start);
  let at = 0;
  for (const span of capitalisedSpans(text, sentenceStarts)) {
    while (at < dates.length && dates[at]!.end <= span.start) at += 1;
    const date = dates[at];
    if (!(date && date.start <= span.start && span.end <= date.end)) spans.push(span);
  }
  return spans.sort((left, right) => left.start - right.start || right.end - left.end);
}

function capitalisedSpans(text: string, sentenceStarts: ReadonlySet<number>): EntitySpan[] {
  const tokens: Token[] = [];
  const lowerWords = new Set<string>();
  const innerCapitals = new Set<string>();
  for (const match of text.matchAll(TOKEN)) {
    const capital = /^\p{Lu}/u.test(match[0]);
    const first = startsSentence(text, match.index, sentenceStarts);
    tokens.push({ start: match.index, end: match.index + match[0].length, text: match[0], capital, first });
    if (!capital) lowerWords.add(match[0]);
    else if (!first) innerCapitals.add(match[0]);
  }
  const spans: EntitySpan[] = [];
  let at = 0;
  while (at < tokens.length) {
    if (!tokens[at]!.capital) {
      at += 1;
      continue;
    }
    let from = at;
    let to = at;
    for (let next = at + 1; next < tokens.length; next += 1) {
      const gap = text.slice(tokens[next - 1]!.end, tokens[next]!.start);
      if (!joins(gap, tokens[next - 1]!.text) || (tokens[next]!.first && !/^[.] ?$/.test(gap))) break;
      if (tokens[next]!.capital || (/^\d/.test(tokens[next]!.text) && next === to + 1)) {
        if (next > to + 1 && !innerJoins(tokens, to + 1, next)) break;
        to = next;
      } else if (!INNER.has(tokens[next]!.text) || next - to > 2) {
        break;
      }
    }
    at = to + 1;
    from = dropStarters(tokens, from, to, lowerWords, innerCapitals);
    if (from > to) continue;
    pushName(spans, text, tokens, from, to);
  }
  return spans;
}

function startsSentence(text: string, at: number, sentenceStarts: ReadonlySet<number>): boolean {
  if (sentenceStarts.has(at)) return true;
  let before = at - 1;
  while (before >= 0 && /["'“‘(`*_#>-]/.test(text[before]!)) before -= 1;
  return before < 0 || sentenceStarts.has(before + 1);
}

/** Words of one name are apart by a space, or by the full stop of an initial. */
function joins(gap: string, left: string): boolean {
  if (gap === ' ' || gap === '\n') return true;
  if (gap === '. ' || gap === '.') return left.length === 1 || /^(?:St|Dr|Mr|Mrs|Ms|Jr|Sr|Mt|Ft)$/.test(left);
  return gap === ' & ' || gap === ' - ';
}

/** `of`, `de` and the like join; a bare `in` or `the` does so only together with one of them. */
function innerJoins(tokens: readonly Token[], from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) if (!WEAK_INNER.has(tokens[i]!.text)) return true;
  return false;
}

function dropStarters(
  tokens: readonly Token[],
  from: number,
  to: number,
  lowerWords: ReadonlySet<string>,
  innerCapitals: ReadonlySet<string>,
): number {
  let start = from;
  while (start <= to) {
    const token = tokens[start]!;
    const lower = token.text.toLowerCase();
    const small = STOP_WORDS.has(lower) || PLURAL_OR_PRONOUN.has(lower) || INNER.has(lower);
    if (small && (token.text.length > 1 || lower === 'i' || lower === 'a')) start += 1;
    else if (token.first && STARTERS.has(lower) && !innerCapitals.has(token.text)) start += 1;
    else if (token.first && start === to && !proper(token, lower, lowerWords, innerCapitals)) start += 1;
    else break;
  }
  return start;
}

/** Whether a lone capitalised word at a sentence's start is a name. */
function proper(
  token: Token,
  lower: string,
  lowerWords: ReadonlySet<string>,
  innerCapitals: ReadonlySet<string>,
): boolean {
  if (innerCapitals.has(token.text) || /\p{Lu}.*\p{Lu}|\d/u.test(token.text)) return true;
  return !lowerWords.has(lower) && !/(?:ly|ing)$/.test(lower);
}

function pushName(
  spans: EntitySpan[],
  text: string,
  tokens: readonly Token[],
  from: number,
  to: number,
): void {
  const start = tokens[from]!.start;
  const end = tokens[to]!.end;
  const name = text
    .slice(start, end)
    .replace(/\s+/g, ' ')
    .replace(/['’]s$/, '');
  if (name.length < 2 || /^\d+$/.test(name)) return;
  spans.push({ start, end, name, type: typeOf(name, text, end), confidence: from === to ? 0.7 : 0.8 });
}

function typeOf(name: string, text: string, end: number): EntityType {
  const after = text.slice(end, end + 60);
  if (/^ ?\((?:born|b\.|\d{1,2} \p{Lu}\p{L}+ \d{4}|(?:c\. )?\d{4} ?[–-])/u.test(after)) return 'person';
  if (/^(?:Dr|Mr|Mrs|Ms|Sir|Prof|Lord|Lady|King|Queen|President|Pope|Saint)\b/.test(name)) return 'person';
  if (ORGANISATION.test(name)) return 'organisation';
  if (PLACE.test(name)) return 'place';
  if (/^,? (?:was|is) (?:an?|the) [^.]{0,40}\b(?:film|album|song|novel|book|series|poem|play)\b/.test(after))
    return 'work';
  return 'term';
}
