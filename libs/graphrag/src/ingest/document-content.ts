import { createHash } from 'node:crypto';
import {
  DocumentBinaryError,
  DocumentEmptyError,
  DocumentEncodingInvalidError,
  DocumentFormatInvalidError,
  DocumentFormatMismatchError,
  DocumentTitleInvalidError,
  DocumentTooDeepError,
  DocumentTooLargeError,
} from '../errors.js';

export const DOCUMENT_FORMATS = ['markdown', 'text', 'html', 'pdf'] as const;
export type DocumentFormat = (typeof DOCUMENT_FORMATS)[number];
/** Formats whose text is read out of the file by a worker. */
export type FileFormat = Extract<DocumentFormat, 'html' | 'pdf'>;

/** True for a format whose text is read out of a file. */
export function isFileFormat(format: DocumentFormat): format is FileFormat {
  return format === 'html' || format === 'pdf';
}

/** Title of a file that came without one, until it was read. */
export const UNTITLED = 'Untitled';

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
  /** Without byte order mark, line ends as LF; empty for a file that is yet to be read. */
  readonly text: string;
  /** The file itself, if it is one. */
  readonly source: Uint8Array | null;
  /** SHA-256 over format and text (or file), hexadecimal. Two documents with the same hash are the same document. */
  readonly hash: string;
  /** Of `text` as UTF-8, or of the file. */
  readonly bytes: number;
}

/**
 * Checks an upload, and decodes it if it is text. HTML and PDF files are only looked at: reading them is work
 * for a process that may fail.
 * @param title taken from the first heading or line, or from the file, when missing.
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

  checkSignature(format, upload.content);
  if (isFileFormat(format)) return fileContent(format, upload, size);

  const decoded = typeof upload.content === 'string' ? checkedString(upload.content) : decode(upload.content);
  const text = decoded.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  if (CONTROL.test(text)) throw new DocumentBinaryError();
  if (!/[\p{L}\p{N}]/u.test(text)) throw new DocumentEmptyError();
  if (format === 'markdown') checkNesting(text);

  return {
    title: upload.title === undefined ? derivedTitle(text) : checkedTitle(upload.title),
    format,
    text,
    source: null,
    hash: createHash('sha256').update(`${format}\n`).update(text).digest('hex'),
    bytes: Buffer.byteLength(text),
  };
}

function fileContent(
  format: FileFormat,
  { title, content }: { title?: string | undefined; content: string | Uint8Array },
  size: number,
): DocumentContent {
  const source = typeof content === 'string' ? Buffer.from(checkedString(content)) : content;
  return {
    title: title === undefined ? UNTITLED : checkedTitle(title),
    format,
    text: '',
    source,
    hash: createHash('sha256').update(`${format}\n`).update(source).digest('hex'),
    bytes: size,
  };
}

/** How files begin that are sent as something else by mistake. */
const SIGNATURES: readonly (readonly [signature: string, name: string])[] = [
  ['%PDF-', 'a PDF file'],
  ['PK\x03\x04', 'an archive or Office file'],
  ['\xd0\xcf\x11\xe0', 'an Office file'],
  ['\x1f\x8b', 'a compressed file'],
];
/** Readers of PDF accept that much before its signature. */
const SIGNATURE_WITHIN = 1024;

/** @throws DocumentFormatMismatchError for content that plainly is of another format than it is said to be. */
function checkSignature(format: DocumentFormat, content: string | Uint8Array): void {
  const start =
    typeof content === 'string'
      ? content.slice(0, SIGNATURE_WITHIN)
      : Buffer.from(content.buffer, content.byteOffset, Math.min(content.length, SIGNATURE_WITHIN)).toString(
          'latin1',
        );
  const found = SIGNATURES.find(([signature]) => start.startsWith(signature))?.[1];
  if (format === 'pdf') {
    if (!start.includes('%PDF-')) throw new DocumentFormatMismatchError(format, found);
  } else if (found) throw new DocumentFormatMismatchError(format, found);
  else if (format === 'html') checkMarkup(content, start);
}

function checkMarkup(content: string | Uint8Array, start: string): void {
  const wide = /^(?:\xff\xfe|\xfe\xff)/.test(start);
  if (!wide && start.includes('\0')) throw new DocumentBinaryError();
  const markup = wide ? /<\0?[a-z!/]|\0<\0[a-z!/]/i : /<[a-z!/]/i;
  const text = typeof content === 'string' ? content : Buffer.from(content).toString('latin1');
  if (!markup.test(text)) throw new DocumentFormatMismatchError('html');
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

/** The first heading, or else the first line with words, bounded. */
export function derivedTitle(text: string): string {
  const heading = /^#{1,6}[ \t]+(.+?)[ \t]*#*$/m.exec(text)?.[1];
  const line = heading ?? text.split('\n').find((candidate) => /[\p{L}\p{N}]/u.test(candidate)) ?? '';
  const cleaned = line.replace(/\s+/g, ' ').trim();
  return cleaned.length > 120 ? `${[...cleaned].slice(0, 119).join('')}…` : cleaned;
}
