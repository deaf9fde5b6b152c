/** Longest normal form of a name, in UTF-16 units; longer names are cut. */
export const MAX_ENTITY_KEY_LENGTH = 160;

const HAN = /\p{Script=Han}/gu;
const LATIN_WORD = /\p{Script=Latin}+/gu;
const LATIN_MARKS = /[\u0300-\u036f]/g;
const POSSESSIVE = /['’ʼ`´]s?(?=\s|$)/gu;
const SPLIT_NEGATION_OF_WORD = /[^\p{L}\p{M}\p{N}+#]+/gu;
const SIGN_WITHOUT_WORD = /(^|[^\p{L}\p{N}+#])[+#]+/gu;
const SPACE_BETWEEN_HAN = /(?<=\p{Script=Han})\s+(?=\p{Script=Han})/gu;

/** Letters without case and without Latin, Greek and Cyrillic diacritics, in compatibility form (NFKC). */
export function foldText(text: string): string {
  const lower = text.normalize('NFKC').toLowerCase();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what makes a text plain
  if (/^[\x00-\x7f]*$/.test(lower)) return lower;
  return lower.normalize('NFD').replace(LATIN_MARKS, '').normalize('NFC');
}

/**
 * The normal form under which names of one entity meet: folded case, width and diacritics, no punctuation,
 * no possessive, no leading article, initials joined (`J. K. Rowling` and `J.K. Rowling` are `jk rowling`),
 * single spaces, none between Chinese characters. Idempotent. A name of punctuation only keeps it; an empty
 * result means that the name is blank.
 */
export function normaliseEntityName(name: string): string {
  const bounded = name.length > 4 * MAX_ENTITY_KEY_LENGTH ? name.slice(0, 4 * MAX_ENTITY_KEY_LENGTH) : name;
  const folded = foldText(bounded);
  let words = folded
    .replace(POSSESSIVE, '')
    .replace(SPLIT_NEGATION_OF_WORD, ' ')
    .replace(SIGN_WITHOUT_WORD, '$1 ')
    .trim()
    .split(/\s+/);
  words = joinInitials(words.filter((word) => word !== ''));
  while (words.length > 1 && (words[0] === 'the' || words[0] === 'a' || words[0] === 'an')) words.shift();
  const key = words.join(' ').replace(SPACE_BETWEEN_HAN, '');
  if (key === '') return folded.replace(/\s+/g, ' ').trim().slice(0, MAX_ENTITY_KEY_LENGTH).trim();
  return key.slice(0, MAX_ENTITY_KEY_LENGTH).trim();
}

/** `['j', 'k', 'rowling']` → `['jk', 'rowling']`; an article `a` at the start stays apart. */
function joinInitials(words: readonly string[]): string[] {
  const joined: string[] = [];
  let open = false;
  words.forEach((word, index) => {
    const initial = /^[a-z]$/.test(word) && !(index === 0 && word === 'a');
    if (initial && open) joined[joined.length - 1] += word;
    else joined.push(word);
    open = initial;
  });
  return joined;
}

/** The capital letters a name abbreviates to: `Support Vector Machine` → `SVM`; undefined for one word. */
export function acronymOf(name: string): string | undefined {
  const words = name.split(/[\s\-–]+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const counted = words.filter((word) => !/^(of|the|and|for|in|on|to|a|an|with|by|at)$/i.test(word));
  if (counted.length < 2) return undefined;
  return counted.map((word) => word[0]!.toUpperCase()).join('');
}

/** True when `short` abbreviates `long`: its letters occur in order, the first one opening a word of it. */
export function isAcronymOf(short: string, long: string): boolean {
  const letters = short.replace(/[^\p{L}\p{N}]/gu, '').toLowerCase();
  if (letters.length < 2 || letters.length > 12 || long.length <= short.length) return false;
  const initials = acronymOf(long)?.toLowerCase();
  if (initials === letters || initials === letters.replace(/s$/, '')) return true;
  const text = long.toLowerCase();
  if (text[0] !== letters[0]) return false;
  let at = 0;
  for (const letter of letters) {
    at = text.indexOf(letter, at);
    if (at < 0) return false;
    at += 1;
  }
  return long.split(/[\s\-–]+/).length >= 2 && letters.length <= long.split(/[\s\-–]+/).length + 2;
}

/** The language a text is read as: Chinese when it has at least as many Han characters as Latin words. */
export type TextLanguage = 'zh' | 'en';

/** Detects the language by script, from the first 2,000 UTF-16 units. */
export function detectLanguage(text: string): TextLanguage {
  const start = text.slice(0, 2000);
  const han = start.match(HAN)?.length ?? 0;
  const latinWords = start.match(LATIN_WORD)?.length ?? 0;
  return han > 0 && han >= latinWords ? 'zh' : 'en';
}

/** True for a character of a script written without spaces (Han, Hiragana, Katakana). */
export function isCjk(codePoint: number): boolean {
  return (
    (codePoint >= 0x4e00 && codePoint <= 0x9fff) ||
    (codePoint >= 0x3400 && codePoint <= 0x4dbf) ||
    (codePoint >= 0x3040 && codePoint <= 0x30ff) ||
    (codePoint >= 0xf900 && codePoint <= 0xfaff) ||
    (codePoint >= 0x20000 && codePoint <= 0x323af)
  );
}
