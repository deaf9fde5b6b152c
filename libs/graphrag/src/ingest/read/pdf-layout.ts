/** A line of text on a page, as it was set. Lengths are in points, `y` grows upwards. */
export interface PdfLine {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly size: number;
}

export interface PdfText {
  readonly text: string;
  readonly pageStarts: readonly number[];
}

/** Pages from which on a line that stands on most of them is a running head. */
const RUNNING_HEAD_PAGES = 3;
const RUNNING_HEAD_SHARE = 0.6;
/** Lines at a page's top and bottom that may be running heads. */
const MARGIN_LINES = 2;
/** Against the size most of the text is set in. */
const HEADING_SIZE = 1.15;
const HEADING_LENGTH = 120;
const HEADING_LEVELS = 3;
/** Against a page's distance of lines within a paragraph. */
const PARAGRAPH_GAP = 1.4;

const SENTENCE_END = /[.!?。！？:：;；…]["'”’）)\]】」』]*$/;
const BULLET = /^[•◦▪●○■□‣∙·–]\s+/;
const LIST_ITEM = /^(?:- |\(?\d{1,3}[.)]\s|[（(]?[一二三四五六七八九十]{1,3}[、.）)])/;
const PAGE_NUMBER =
  /^(?:page\s+|seite\s+|第\s*)?[-–—\s]*\d{1,4}(?:\s*(?:\/|of|页|頁)\s*\d{0,4})?[-–—\s]*(?:页|頁)?$/i;
const CJK = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uffef]/u;

/**
 * Puts lines together as they are read: paragraphs by distance, headings by size (as Markdown), words parted at
 * line ends joined, running heads and page numbers left out. A paragraph may go on over a page's end.
 */
export function layOut(pages: readonly (readonly PdfLine[])[]): PdfText {
  const body = bodySize(pages);
  const levels = headingLevels(pages, body);
  const running = runningHeads(pages);
  const writer = new Writer();
  pages.forEach((lines, page) => {
    if (page > 0) writer.startPage();
    const kept = lines.filter((line, index) => !isMargin(lines, line, index, running));
    const usual = usualGap(kept);
    for (const [index, line] of kept.entries()) {
      const before = kept[index - 1];
      const level = headingLevel(line, body, levels);
      if (level > 0) writer.heading(line.text, level, before !== undefined && before.size === line.size);
      else writer.line(line.text, opensParagraph(line, before, usual));
    }
  });
  return writer.result();
}

class Writer {
  private text = '';
  private open: 'nothing' | 'paragraph' | 'heading' = 'nothing';
  private readonly pageStarts: number[] = [];
  private pages = 0;

  startPage(): void {
    this.pages += 1;
  }

  heading(text: string, level: number, continues: boolean): void {
    if (this.open === 'heading' && continues && this.pages === 0) this.join(text);
    else this.append(`\n\n${'#'.repeat(level)} `, text);
    this.open = 'heading';
  }

  line(text: string, opens: boolean): void {
    const item = text.replace(BULLET, '- ');
    const list = LIST_ITEM.test(item);
    const goesOn = this.pages === 0 || !SENTENCE_END.test(this.text);
    if (this.open === 'paragraph' && list && !opens) this.append('\n', item);
    else if (this.open === 'paragraph' && !opens && goesOn) this.join(item);
    else this.append('\n\n', item);
    this.open = 'paragraph';
  }

  result(): PdfText {
    for (let page = 0; page < this.pages; page += 1) this.pageStarts.push(this.text.length);
    return { text: this.text, pageStarts: this.pageStarts };
  }

  private append(separator: string, text: string): void {
    if (this.text !== '') this.text += separator;
    else if (separator.trim() !== '') this.text += separator.trimStart();
    this.markPages();
    this.text += text;
  }

  /** Continues a line: nothing between Chinese characters, no hyphen within a word, else a space. */
  private join(text: string): void {
    if (/\p{Ll}[-\u00ad\u2010]$/u.test(this.text) && /^\p{Ll}/u.test(text))
      this.text = this.text.slice(0, -1);
    else if (!(CJK.test(this.text.at(-1) ?? '') && CJK.test(text[0] ?? ''))) this.text += ' ';
    this.markPages();
    this.text += text;
  }

  private markPages(): void {
    for (; this.pages > 0; this.pages -= 1) this.pageStarts.push(this.text.length);
  }
}

/** The size most characters are set in. */
function bodySize(pages: readonly (readonly PdfLine[])[]): number {
  const characters = new Map<number, number>();
  for (const { size, text } of pages.flat())
    characters.set(round(size), (characters.get(round(size)) ?? 0) + text.length);
  let body = 0;
  for (const [size, count] of characters) if (count > (characters.get(body) ?? 0)) body = size;
  return body;
}

function headingLevels(pages: readonly (readonly PdfLine[])[], body: number): ReadonlyMap<number, number> {
  const sizes = new Set<number>();
  for (const { size } of pages.flat()) if (size >= body * HEADING_SIZE) sizes.add(round(size));
  const falling = [...sizes].sort((a, b) => b - a);
  return new Map(falling.map((size, index) => [size, Math.min(index + 1, HEADING_LEVELS)]));
}

function headingLevel(line: PdfLine, body: number, levels: ReadonlyMap<number, number>): number {
  if (line.size < body * HEADING_SIZE || line.text.length > HEADING_LENGTH) return 0;
  if (!/\p{L}/u.test(line.text)) return 0;
  return levels.get(round(line.size)) ?? 0;
}

/** Lines that stand at the top or bottom of most pages, numbers aside. */
function runningHeads(pages: readonly (readonly PdfLine[])[]): ReadonlySet<string> {
  const counts = new Map<string, number>();
  for (const lines of pages) {
    const margin = lines.filter((_, index) => index < MARGIN_LINES || index >= lines.length - MARGIN_LINES);
    for (const key of new Set(margin.map(runningKey))) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const most = Math.max(RUNNING_HEAD_PAGES, pages.length * RUNNING_HEAD_SHARE);
  return new Set([...counts].filter(([, count]) => count >= most).map(([key]) => key));
}

function runningKey({ text, y }: PdfLine): string {
  return `${Math.round(y)}\n${text.replace(/\d+/g, '#')}`;
}

function isMargin(
  lines: readonly PdfLine[],
  line: PdfLine,
  index: number,
  running: ReadonlySet<string>,
): boolean {
  if (index >= MARGIN_LINES && index < lines.length - MARGIN_LINES) return false;
  const outermost = index === 0 || index === lines.length - 1;
  return running.has(runningKey(line)) || (outermost && lines.length > 1 && PAGE_NUMBER.test(line.text));
}

/** The lower quartile of the distances: most others are between paragraphs, or around headings. */
function usualGap(lines: readonly PdfLine[]): number {
  const gaps = lines
    .map((line, index) => (lines[index - 1]?.y ?? line.y) - line.y)
    .filter((gap) => gap > 0)
    .sort((a, b) => a - b);
  return gaps[gaps.length >> 2] ?? 0;
}

function opensParagraph(line: PdfLine, before: PdfLine | undefined, usual: number): boolean {
  if (!before) return false;
  const gap = before.y - line.y;
  // Upwards is the next column, in which a paragraph may go on.
  if (gap <= 0) return SENTENCE_END.test(before.text);
  if (gap > Math.max(usual * PARAGRAPH_GAP, before.size * PARAGRAPH_GAP)) return true;
  return line.x > before.x + line.size * 0.8 && SENTENCE_END.test(before.text);
}

function round(size: number): number {
  return Math.round(size * 2) / 2;
}
