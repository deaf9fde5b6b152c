import { stemmer } from 'stemmer';
import { contentTerms } from '../text.js';

/** Distinct words indexed of one message. */
const MAX_WORDS = 2_000;
const MAX_WORD_LENGTH = 64;
const MAX_CACHED_STEMS = 20_000;

const stems = new Map<string, string>();

function stemOf(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  const stem = /^[a-z]+$/.test(word) ? stemmer(word) : word;
  if (stems.size >= MAX_CACHED_STEMS) stems.clear();
  stems.set(word, stem);
  return stem;
}

/**
 * The words old messages are found by, each once: Porter stems (Porter 1980) of Latin words without stop words,
 * numbers, and pairs of neighbouring Chinese characters. Joined words (`ice-cream`, `WolfgangSchulz`) are parted.
 */
export function searchWords(text: string, limit = MAX_WORDS): readonly string[] {
  const parted = text
    .normalize('NFKC')
    .replace(/(?<=\p{Ll})(?=\p{Lu})|[-_]/gu, ' ')
    .replace(/['’](?:t|re|ve|ll|d|m)\b/gu, '');
  const words = contentTerms(parted, limit).map((word) => stemOf(word.slice(0, MAX_WORD_LENGTH)));
  return [...new Set(words)];
}

/** Words as a literal of PostgreSQL's type `tsvector`, or of `tsquery` with `' | '` between them. */
export function wordsLiteral(words: readonly string[], separator = ' '): string {
  return words.map((word) => `'${word.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join(separator);
}
