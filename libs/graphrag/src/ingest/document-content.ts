import { createHash } from 'node:crypto';
import {
  DocumentBinaryError,
  DocumentEmptyError,
  DocumentEncodingInvalidError,
  DocumentFormatInvalidError,
  DocumentTitleInvalidError,
  DocumentTooDeepError,
  DocumentTooLargeError,
} from '../errors.js';

export const DOCUMENT_FORMATS = ['markdown', 'text'] as const;
export type DocumentFormat = (typeof DOCUMENT_FORMATS)[number];

/** Levels of quotes and lists a Markdown document may nest. */
export const NESTING_LIMIT = 100;
const TITLE_LIMIT = 300;

// Tab, line feed, form feed and carriage return occur in text; the other C0 controls and DEL do not.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u0008\u000b\u000e-\u001f\u007f]/;

/** Half of a character outside of the basic plane: no encoding of text has it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A document that passed every check. */
export interface DocumentContent {
  readonly title: string;
  readonly format: DocumentFormat;
  /** Without byte order mark, line ends as LF. */
  readonly text: string;
  /** SHA-256 over format and text, hexadecimal. Two documents with the same hash are the same document. */
  readonly hash: string;
  /** Of `text` as UTF-8. */
  readonly bytes: number;
}

/**
 * Decodes and checks an upload.
 * @param title taken from the first heading or line when missing.
 * @throws DocumentError a subclass saying what is wrong.
 */
export function readDocument(
  upload: { title?: string | undefined; format: string; content: string | Uint8Array },
  limitBytes: number,
): DocumentContent {
  const format = DOCUMENT_FORMATS.find((known) => known === upload.format);
  if (!format) throw new DocumentFormatInvalidError();
  const size =
    typeof upload.content === 'string' ? Buffer.byteLength(upload.content) : upload.content.byteLength;
  if (size > limitBytes) throw new DocumentTooLargeError(size, limitBytes);

  const decoded = typeof upload.content === 'string' ? checkedString(upload.content) : decode(upload.content);
  const text = decoded.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  if (CONTROL.test(text)) throw new DocumentBinaryError();
  if (!/[\p{L}\p{N}]/u.test(text)) throw new DocumentEmptyError();
  if (format === 'markdown') checkNesting(text);

  return {
    title: upload.title === undefined ? derivedTitle(text) : checkedTitle(upload.title),
    format,
    text,
    hash: createHash('sha256').update(`${format}\n`).update(text).digest('hex'),
    bytes: Buffer.byteLength(text),
  };
}

function decode(bytes: Uint8Array): string {
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'utf-16le'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'utf-16be'
        : 'utf-8';
  // NUL is valid UTF-8 and the commonest sign of a binary file, whose other bytes are often invalid: name the
  // cause rather than the symptom.
  if (encoding === 'utf-8' && bytes.includes(0)) throw new DocumentBinaryError();
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new DocumentEncodingInvalidError();
  }
}

function checkedString(text: string): string {
  if (LONE_SURROGATE.test(text)) throw new DocumentEncodingInvalidError();
  return text;
}

/** Counts container markers at the line's start: what makes a Markdown parser recurse. */
function checkNesting(text: string): void {
  for (const line of text.split('\n')) {
    const containers = /^(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))+/.exec(line)?.[0];
    const markers = containers?.match(/>|[-*+]|\d+[.)]/g)?.length ?? 0;
    if (markers > NESTING_LIMIT) throw new DocumentTooDeepError(NESTING_LIMIT);
    const indent =
      /^[ \t]*(?=(?:[-*+]|\d{1,9}[.)])[ \t])/.exec(line)?.[0].replaceAll('\t', '    ').length ?? 0;
    if (indent / 2 > NESTING_LIMIT) throw new DocumentTooDeepError(NESTING_LIMIT);
  }
}

function checkedTitle(title: string): string {
  const trimmed = title.trim();
  if (!trimmed || trimmed.length > TITLE_LIMIT || /\p{Cc}/u.test(trimmed) || LONE_SURROGATE.test(trimmed))
    throw new DocumentTitleInvalidError();
  return trimmed;
}

function derivedTitle(text: string): string {
  const heading = /^#{1,6}[ \t]+(.+?)[ \t]*#*$/m.exec(text)?.[1];
  const line = heading ?? text.split('\n').find((candidate) => /[\p{L}\p{N}]/u.test(candidate)) ?? '';
  const cleaned = line.replace(/\s+/g, ' ').trim();
  return cleaned.length > 120 ? `${[...cleaned].slice(0, 119).join('')}…` : cleaned;
}
