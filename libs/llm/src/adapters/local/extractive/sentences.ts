/** Ends with a full stop that does not end a sentence: titles, initials, Latin shorthand. */
const ABBREVIATION =
  /(?:^|[\s("'])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|vs|etc|e\.g|i\.e|cf|al|Fig|No|Vol|pp|ca|approx|Inc|Ltd|Co|Corp|[A-Z]\.[A-Z]|a\.m|p\.m|Rev|Hon|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep|Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.$/u;
/** Before a date: "(c. 1495 – 24 September 1562)". */
const BEFORE_DATE = /(?:^|[\s(])(?:c|b|d|fl|aft|bef|r)\.$/u;
/** With room to spare, so that the start of the slice is never taken for the start of a word. */
const LONGEST_ABBREVIATION = 16;
const BOUNDARY = /[.!?]+["'”’)\]]*(?=\s+\S)|[。！？；…]+[”’」』）)]*/gu;
/** A line that starts something new: a list item, a heading, a table row, a quoted line or a speaker. */
const BLOCK_START = /^\s*(?:[-*+•]\s|\d+[.)]\s|#{1,6}\s|\||>|\p{L}{1,12}\s?[:：])/u;
const LINE_END = /[.!?。！？:：；;"”)\]]\s*$/u;
const MARKUP = /^\s*(?:#{1,6}\s+|[-*+•]\s+|>\s*)+/u;

/** Sentences of English or Chinese prose or Markdown, in order, with white space collapsed. */
export function splitSentences(text: string): string[] {
  return blocks(text).flatMap(splitBlock);
}

export interface MarkedSentence {
  readonly text: string;
  /** A Markdown heading, or a line of a paragraph. */
  readonly heading: boolean;
}

/** {@link splitSentences} that says which of them are headings. */
export function splitMarkedSentences(text: string): MarkedSentence[] {
  return blocks(text).flatMap((block) => {
    const heading = /^\s*#{1,6}\s/u.test(block);
    return splitBlock(block).map((sentence) => ({ text: sentence, heading }));
  });
}

/** Paragraphs, list items and headings; lines that a paragraph was merely wrapped into are joined. */
function blocks(text: string): string[] {
  const result: string[] = [];
  let previous = '';
  for (const line of text.split(/\r?\n/u)) {
    const continues =
      previous.trim() !== '' && line.trim() !== '' && !BLOCK_START.test(line) && !LINE_END.test(previous);
    if (continues && !previous.startsWith('#')) result[result.length - 1] += ` ${line.trim()}`;
    else if (line.trim() !== '') result.push(line.trim());
    previous = line;
  }
  return result;
}

function splitBlock(block: string): string[] {
  const text = block
    .replace(MARKUP, '')
    .replace(/\*\*|__|`/gu, '')
    .replace(/\s+/gu, ' ');
  const sentences: string[] = [];
  let start = 0;
  for (const match of text.matchAll(BOUNDARY)) {
    const end = match.index + match[0].length;
    const candidate = text.slice(start, end);
    const follows = text.slice(end).trimStart();
    if (
      match[0].startsWith('.') &&
      (ABBREVIATION.test(candidate.slice(-LONGEST_ABBREVIATION)) ||
        BEFORE_DATE.test(candidate.slice(-LONGEST_ABBREVIATION)) ||
        /^\p{Ll}/u.test(follows))
    )
      continue;
    sentences.push(candidate.trim());
    start = end;
  }
  sentences.push(text.slice(start).trim());
  return sentences.filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}
