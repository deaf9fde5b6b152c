import { stemmer } from 'stemmer';
import { foldText, isCjk } from '../extract/entity-name.js';

const MAX_TERM_LENGTH = 64;
const MAX_CACHED_STEMS = 50_000;
const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const CLITIC = /['’ʼ](?:s|t|re|ve|ll|d|m)(?![\p{L}\p{N}])/gu;

/** Words that say nothing about a passage's subject. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    'a an and are as at be been being but by can could did do does doing for from had has have having he her ' +
    'hers him his how i if in into is it its itself me more most my no nor not of off on once only or other ' +
    'our ours out over own s same she should so some such t than that the their theirs them then there these ' +
    'they this those through to too under until up very was we were what when where which while who whom why ' +
    'will with would you your yours'
  ).split(' '),
);

const stems = new Map<string, string>();

/** Porter's stem of a folded Latin word; other words unchanged. Cached. */
export function stemOf(word: string): string {
  const cached = stems.get(word);
  if (cached !== undefined) return cached;
  const stem = /^[a-z]+$/.test(word) ? stemmer(word) : word;
  if (stems.size >= MAX_CACHED_STEMS) stems.clear();
  stems.set(word, stem);
  return stem;
}

/**
 * The search terms of a text, in order, with repetitions: Porter stems of words (Porter 1980) without
 * {@link STOP_WORDS}, numbers, and for scripts without spaces the overlapping pairs of characters. Each term
 * consists of letters and digits only. The same terms fill `chunks.terms`, so both search paths agree.
 */
export function analyse(text: string): string[] {
  const terms: string[] = [];
  for (const [word] of foldText(text).replace(CLITIC, '').matchAll(WORD)) {
    if (isPlainAscii(word)) pushWord(terms, word);
    else pushMixed(terms, word);
  }
  return terms;
}

function isPlainAscii(word: string): boolean {
  for (let i = 0; i < word.length; i += 1) if (word.charCodeAt(i) > 0x7f) return false;
  return true;
}

function pushWord(terms: string[], word: string): void {
  if (!STOP_WORDS.has(word))
    terms.push(stemOf(word.length > MAX_TERM_LENGTH ? word.slice(0, MAX_TERM_LENGTH) : word));
}

function pushMixed(terms: string[], word: string): void {
  let latin = '';
  let cjk: string[] = [];
  const flushLatin = () => {
    if (latin !== '') pushWord(terms, latin);
    latin = '';
  };
  const flushCjk = () => {
    if (cjk.length === 1) terms.push(cjk[0]!);
    for (let i = 0; i + 1 < cjk.length; i += 1) terms.push(cjk[i]! + cjk[i + 1]!);
    cjk = [];
  };
  for (const character of word) {
    if (isCjk(character.codePointAt(0)!)) {
      flushLatin();
      cjk.push(character);
    } else {
      flushCjk();
      latin += character;
    }
  }
  flushLatin();
  flushCjk();
}
