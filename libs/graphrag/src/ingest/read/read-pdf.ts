import { getDocumentProxy } from 'unpdf';
import { layOut, type PdfLine } from './pdf-layout.js';
import { cleanText, cleanTitle, type ReadRequest, type ReadResult, refused } from './read-result.js';

type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>;

/** What pdf.js gives of a piece of text; marks of structure have no `str`. */
interface TextPiece {
  readonly str?: string;
  readonly transform?: readonly number[];
  readonly width?: number;
  readonly hasEOL?: boolean;
}

/** The radicals block that some producers map Chinese characters to; NFKC gives the characters. */
const RADICALS = /[\u2e80-\u2fdf]/g;
/** A step up or down of more than this share of the size begins a new line. */
const LINE_STEP = 0.5;

/**
 * Reads the text of a PDF: its paragraphs and, where they are set larger, headings, as Markdown. Fonts that name
 * their characters (ToUnicode) can be read in any script; pictures of text cannot.
 */
export async function readPdf({ bytes, limitBytes }: ReadRequest): Promise<ReadResult> {
  let pdf: Pdf;
  try {
    pdf = await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0, useSystemFonts: false });
  } catch (error) {
    return refused((error as Error).name === 'PasswordException' ? 'encrypted' : 'corrupt');
  }
  const pages: PdfLine[][] = [];
  let size = 0;
  for (let number = 1; number <= pdf.numPages; number += 1) {
    const lines = await readPage(pdf, number);
    if (!lines) return refused('corrupt');
    for (const { text } of lines) size += Buffer.byteLength(text) + 1;
    if (size > limitBytes) return refused('too-large', size);
    pages.push(lines);
  }
  const { text, pageStarts } = layOut(pages);
  if (!/[\p{L}\p{N}]/u.test(text)) return refused('no-text');
  return { kind: 'text', text, title: await titleOf(pdf), pageStarts };
}

async function readPage(pdf: Pdf, number: number): Promise<PdfLine[] | undefined> {
  let pieces: readonly TextPiece[];
  try {
    const page = await pdf.getPage(number);
    pieces = (await page.getTextContent()).items as readonly TextPiece[];
    page.cleanup();
  } catch {
    return undefined;
  }
  return toLines(pieces);
}

function toLines(pieces: readonly TextPiece[]): PdfLine[] {
  const lines: PdfLine[] = [];
  let text = '';
  let at: { x: number; y: number; size: number; end: number } | undefined;
  const close = () => {
    const line = cleanText(text.replace(RADICALS, (radical) => radical.normalize('NFKC')))
      .replace(/\s+/g, ' ')
      .trim();
    if (at && line !== '') lines.push({ text: line, x: at.x, y: at.y, size: at.size });
    text = '';
    at = undefined;
  };
  for (const { str, transform, width = 0, hasEOL } of pieces) {
    if (str === undefined || transform === undefined) continue;
    const [a = 0, b = 0, , , x = 0, y = 0] = transform;
    const size = Math.hypot(a, b);
    if (str !== '') {
      if (at && Math.abs(y - at.y) > Math.max(size, at.size) * LINE_STEP) close();
      if (at && str.trim() !== '' && x - at.end > at.size && !/\s$/.test(text)) text += ' ';
      if (at) {
        at.end = x + width;
        if (str.trim() !== '') at.size = Math.max(at.size, size);
      } else if (str.trim() !== '') at = { x, y, size, end: x + width };
      text += str;
    }
    if (hasEOL) close();
  }
  close();
  return lines;
}

/** The title in the file's properties, unless it is a file's name or left by the program that wrote it. */
async function titleOf(pdf: Pdf): Promise<string | undefined> {
  try {
    const { info } = await pdf.getMetadata();
    const { Title } = info as { Title?: unknown };
    const title = cleanTitle(typeof Title === 'string' ? Title : undefined);
    return title && /\.\w{2,5}$|^untitled|^microsoft word|^slide \d/i.test(title) ? undefined : title;
  } catch {
    return undefined;
  }
}
