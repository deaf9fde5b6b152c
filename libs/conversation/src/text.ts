/** The first `max` UTF-16 units of a text, never half of a surrogate pair, with `…` when something is cut. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = Math.max(0, max - 1);
  const safe = end > 0 && isHighSurrogate(text.charCodeAt(end - 1)) ? end - 1 : end;
  return `${text.slice(0, safe)}…`;
}

/** The longest beginning of a text that costs at most `maxTokens`; empty when not even one character does. */
export function clipToTokens(text: string, maxTokens: number, countTokens: (text: string) => number): string {
  if (maxTokens <= 0) return '';
  if (countTokens(text) <= maxTokens) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (countTokens(clip(text, middle)) <= maxTokens) low = middle;
    else high = middle - 1;
  }
  return low > 1 ? clip(text, low) : '';
}

/**
 * Text as PostgreSQL keeps it: lone surrogates become U+FFFD, so that what was sent equals what is read back.
 */
export function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

/** Plain JSON as `jsonb` can hold it: without NUL and without half a surrogate pair. Throws for what is no JSON. */
export function storable<T extends string | object>(value: T): T {
  return JSON.parse(JSON.stringify(value), (_key, member: unknown) =>
    typeof member === 'string' ? wellFormed(member.replaceAll('\0', '')) : member,
  ) as T;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** A message as a line of a transcript; models, the local one too, tell speakers apart by it. */
export function spoken(role: string, content: string): string {
  return `${role === 'assistant' ? 'Assistant' : role === 'tool' ? 'Tool' : 'User'}: ${content}`;
}

const STOP_WORDS = new Set(
  (
    'a an and are as at be been but by can could did do does for from had has have he her here hers him his ' +
    'how i if in into is it its just let me my no not of on or our out please she should so some tell than ' +
    'that the their them then there these they this those to too us was we were what when where which who ' +
    'whom whose why will with would you your about again also am any because being between both each explain ' +
    'give him more most other over same said say such think up very want'
  ).split(' '),
);

/** Characters of Chinese function words and question words: they part the words between them. */
const CJK_STOP = new Set(
  '的了吗呢吧啊是在和与或也都就还又很我你他她它们这那哪什么怎为何请问一个有没不对把被给',
);

function splitAtStops(run: string): readonly (readonly string[])[] {
  const words: string[][] = [[]];
  for (const character of run)
    if (CJK_STOP.has(character)) words.push([]);
    else words.at(-1)!.push(character);
  return words;
}

/**
 * The words a text is about, lower-case, each once, in order: Latin words and numbers without stop words, and
 * pairs of neighbouring Chinese characters (one alone where function words leave no second).
 */
export function contentTerms(text: string, limit = 24): readonly string[] {
  const terms = new Set<string>();
  for (const [run] of text.toLowerCase().matchAll(/[\p{Script=Han}]+|[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu)) {
    if (/^\p{Script=Han}/u.test(run)) {
      for (const word of splitAtStops(run)) {
        if (word.length === 1) terms.add(word[0]!);
        for (let at = 0; at + 1 < word.length; at += 1) terms.add(word[at]! + word[at + 1]!);
      }
      continue;
    }
    const word = run.replace(/['’]s$/u, '');
    if (word.length > 1 && !STOP_WORDS.has(word)) terms.add(word);
    else if (/^\p{N}$/u.test(word)) terms.add(word);
  }
  return [...terms].slice(0, limit);
}

/** Sentences of English and Chinese text, trimmed, without empty ones. */
export function sentences(text: string): readonly string[] {
  return text
    .split(/(?<=[.!?])\s+|(?<=[。！？；])|\n+/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence.length > 0);
}

/** True for a sentence that asks. */
export function isQuestion(sentence: string): boolean {
  return /[?？]\s*$/u.test(sentence) || /[吗呢]\s*$/u.test(sentence);
}

/** The sentence of `source` that shares most words with `text`. */
export function supportingSentence(source: string, text: string): string {
  const terms = new Set(contentTerms(text, 200));
  let best = source;
  let bestShared = 0;
  for (const sentence of sentences(source)) {
    const shared = contentTerms(sentence, 200).filter((term) => terms.has(term)).length;
    if (shared > bestShared) {
      best = sentence;
      bestShared = shared;
    }
  }
  return best;
}
