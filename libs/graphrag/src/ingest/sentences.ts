/** A stretch of a text, UTF-16 positions, end exclusive. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

const ABBREVIATIONS: ReadonlySet<string> = new Set(
  (
    'mr mrs ms dr prof sr jr st mt ft gen col lt sgt capt rev hon gov sen rep pres vs etc eg ie al fig eq no nos ' +
    'vol pp ed eds inc ltd co corp dept univ approx ca cf est jan feb mar apr jun jul aug sep sept oct nov dec ' +
    'u.s u.k e.g i.e a.m p.m b.c a.d ph.d b.a m.a'
  ).split(' '),
);
const CLOSERS = /["'”’»)\]）】」』》]/;
const CJK_END = /[。！？｡]/;

/**
 * The sentences of a text in order, without the white space around them. Boundaries: Chinese full stops; Latin
 * ones before white space unless they end an abbreviation or an initial or a small letter follows; blank lines;
 * line ends before list, heading, quote or table marks. One pass over the text.
 */
export function splitSentences(text: string, within: TextSpan = { start: 0, end: text.length }): TextSpan[] {
  const spans: TextSpan[] = [];
  let start = within.start;
  const cut = (end: number) => {
    const span = trimSpan(text, start, end);
    if (span.end > span.start) spans.push(span);
    start = end;
  };
  let at = within.start;
  while (at < within.end) {
    const character = text[at]!;
    if (CJK_END.test(character)) {
      at = skipClosers(text, at + 1, within.end);
      cut(at);
    } else if (character === '.' || character === '!' || character === '?') {
      const stop = at;
      at = skipClosers(text, at + 1, within.end);
      if (at >= within.end || (/\s/.test(text[at]!) && endsSentence(text, start, stop, at, within.end)))
        cut(at);
    } else if (character === '\n' && breaksLine(text, at, within.end)) {
      cut(at + 1);
      at += 1;
    } else {
      at += 1;
    }
  }
  cut(within.end);
  return spans;
}

/** The span without the white space at its ends. */
export function trimSpan(text: string, start: number, end: number): TextSpan {
  let from = start;
  let to = end;
  while (from < to && isSpace(text.charCodeAt(from))) from += 1;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to -= 1;
  return { start: from, end: to };
}

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0x3000 || code === 0xfeff;
}

function skipClosers(text: string, at: number, end: number): number {
  let next = at;
  while (next < end && (CLOSERS.test(text[next]!) || /[.!?。！？]/.test(text[next]!))) next += 1;
  return next;
}

function endsSentence(text: string, from: number, stop: number, after: number, end: number): boolean {
  let next = after;
  while (next < end && next < after + 8 && isSpace(text.charCodeAt(next))) next += 1;
  if (/\p{Ll}/u.test(text[next] ?? '')) return false;
  if (text[stop] !== '.' || after > stop + 1) return true;
  let wordStart = stop;
  while (wordStart > from && wordStart > stop - 12 && /[\p{L}.]/u.test(text[wordStart - 1]!)) wordStart -= 1;
  const word = text.slice(wordStart, stop);
  if (/^\p{Lu}$/u.test(word)) return false;
  return !ABBREVIATIONS.has(word.toLowerCase());
}

const LINE_OPENER = /[ \t\r]{0,8}(?:\n|$|#{1,6}[ \t]|>|\||[-*+•][ \t]|\d{1,4}[.)][ \t])/y;

function breaksLine(text: string, at: number, end: number): boolean {
  LINE_OPENER.lastIndex = at + 1;
  return at + 1 >= end || LINE_OPENER.test(text);
}
