import { countTokens as countPlain, decode, encode } from 'gpt-tokenizer/encoding/o200k_base';

/** Special tokens such as `<|endoftext|>` in a text are ordinary characters: users may write anything. */
const PLAIN = { disallowedSpecial: new Set<string>() };

/**
 * Byte pair merging takes quadratic time in the length of an unbroken run (20 s for 80,000 Chinese
 * characters), so runs are cut every 128 characters. Each cut may cost one token more than the exact count.
 */
const LONG_RUN = /[\p{L}\p{M}]{128}|\s{128}|[^\s\p{L}\p{N}]{128}/gu;

function* segments(text: string): Generator<string> {
  let start = 0;
  for (const match of text.matchAll(LONG_RUN)) {
    const end = match.index + match[0].length;
    yield text.slice(start, end);
    start = end;
  }
  if (start < text.length) yield text.slice(start);
}

/**
 * Tokens of `text` in OpenAI's `o200k_base` encoding, which is also near enough for Qwen and DeepSeek to
 * budget with. Takes linear time for any input.
 */
export function countTokens(text: string): number {
  let total = 0;
  for (const segment of segments(text)) total += countPlain(segment, PLAIN);
  return total;
}

/**
 * The longest beginning of `text` of at most `max` tokens as {@link countTokens} counts, cut at a token's
 * end and never inside a character. Returns `text` itself when it fits, and `''` for `max` below 1.
 */
export function truncateToTokens(text: string, max: number): string {
  if (max < 1) return '';
  let remaining = Math.floor(max);
  let length = 0;
  for (const segment of segments(text)) {
    const tokens = encode(segment, PLAIN);
    if (tokens.length > remaining) {
      length += commonPrefix(segment, decode(tokens.slice(0, remaining)));
      return shrinkToFit(text.slice(0, length), Math.floor(max));
    }
    remaining -= tokens.length;
    length += segment.length;
  }
  return text;
}

/** Characters `decoded` shares with `text`; a character whose bytes were cut decodes to something else. */
function commonPrefix(text: string, decoded: string): number {
  let length = 0;
  while (length < decoded.length && text.charCodeAt(length) === decoded.charCodeAt(length)) length++;
  return endsInsidePair(text, length) ? length - 1 : length;
}

function endsInsidePair(text: string, length: number): boolean {
  const last = text.charCodeAt(length - 1);
  const next = text.charCodeAt(length);
  return last >= 0xd800 && last <= 0xdbff && next >= 0xdc00 && next <= 0xdfff;
}

/** A prefix may split into other tokens than the whole did; in the rare case of more, it gives up characters. */
function shrinkToFit(prefix: string, max: number): string {
  let fitting = prefix;
  while (countTokens(fitting) > max) {
    const length = fitting.length - 1;
    fitting = fitting.slice(0, endsInsidePair(fitting, length) ? length - 1 : length);
  }
  return fitting;
}
