/** What reading an HTML or PDF file gives. */
export type ReadResult =
  | {
      readonly kind: 'text';
      /** Markdown with line ends as LF; the text that passages are cut from and citations quote. */
      readonly text: string;
      /** The file's own title, if it has one. */
      readonly title: string | undefined;
      /** Positions in `text` at which the pages after the first begin; empty for a format without pages. */
      readonly pageStarts: readonly number[];
    }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly bytes?: number };

/**
 * Why a file cannot be read: its bytes are damaged, it needs a password, none of its pages has text, its markup
 * nests too deeply, its characters cannot be decoded, or it holds more text than is allowed (`bytes`).
 */
export type RefusalReason = 'corrupt' | 'encrypted' | 'no-text' | 'too-deep' | 'encoding' | 'too-large';

export interface ReadRequest {
  readonly format: 'html' | 'pdf';
  readonly bytes: Uint8Array;
  /** Most bytes of text (UTF-8) to get out of the file. */
  readonly limitBytes: number;
}

/** Longest title taken from a file. */
const TITLE_LENGTH = 300;

export function refused(reason: RefusalReason, bytes?: number): ReadResult {
  return bytes === undefined ? { kind: 'refused', reason } : { kind: 'refused', reason, bytes };
}

/** A title as a file gives it, on one line and bounded; `undefined` when it says nothing. */
export function cleanTitle(title: string | undefined): string | undefined {
  const line = title?.replace(/[\p{Cc}\s]+/gu, ' ').trim() ?? '';
  if (!/[\p{L}\p{N}]/u.test(line)) return undefined;
  return [...line].slice(0, TITLE_LENGTH / 2).join('');
}

/** Replaces what no stored text may hold: control characters other than tab and line feed, and half characters. */
export function cleanText(text: string): string {
  return (
    text
      .replace(/\r\n?/g, '\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ')
      .replace(/\p{Surrogate}/gu, '\uFFFD')
  );
}
