import { DocumentTooDeepError } from '../errors.js';
import { type TextSpan, trimSpan } from './sentences.js';

/** A piece of a document that belongs together; `headings` are those above it, outermost first. */
export interface DocumentBlock extends TextSpan {
  readonly kind: 'heading' | 'paragraph' | 'code' | 'table';
  readonly headings: readonly string[];
}

const ATX_HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const SETEXT_UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LIST_MARKER = /(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)/y;
const TABLE_RULE = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
/** Longer lines are prose: no structure is looked for in them. */
const MAX_STRUCTURED_LINE = 2000;

interface Line extends TextSpan {
  readonly text: string;
}

/**
 * Cuts a document into blocks by reading its lines once: headings, fenced code, tables, list items and
 * paragraphs in Markdown, paragraphs in plain text. Markdown inside quotes and lists is not parsed further;
 * this is what keeps the time linear where a full parser's is not.
 *
 * @throws DocumentTooDeepError when quotes and lists nest beyond `maxDepth`.
 */
export function readBlocks(text: string, format: 'markdown' | 'text', maxDepth: number): DocumentBlock[] {
  return new BlockReader(text, maxDepth).read(format);
}

class BlockReader {
  private readonly blocks: DocumentBlock[] = [];
  private readonly path: { level: number; title: string }[] = [];
  private headings: readonly string[] = [];
  private readonly listIndents: number[] = [];
  private open: { start: number; end: number; kind: 'paragraph' | 'table' } | undefined;

  constructor(
    private readonly text: string,
    private readonly maxDepth: number,
  ) {}

  read(format: 'markdown' | 'text'): DocumentBlock[] {
    let fence: { start: number; marker: string } | undefined;
    let previous: Line | undefined;
    for (const line of this.lines()) {
      if (format === 'text') this.readPlain(line);
      else if (fence) {
        if (closesFence(line.text, fence.marker)) {
          this.push('code', fence.start, line.end);
          fence = undefined;
        }
      } else {
        const marker = FENCE.exec(line.text)?.[1];
        if (marker) {
          this.close();
          fence = { start: line.start, marker };
        } else this.readMarkdown(line, previous);
      }
      previous = line;
    }
    if (fence) this.push('code', fence.start, this.text.length);
    this.close();
    return this.blocks;
  }

  private *lines(): Generator<Line> {
    let start = 0;
    while (start < this.text.length) {
      const newline = this.text.indexOf('\n', start);
      const end = newline < 0 ? this.text.length : newline + 1;
      const text = this.text.slice(start, Math.min(end, start + MAX_STRUCTURED_LINE)).replace(/\r?\n$/, '');
      yield { start, end, text };
      start = end;
    }
  }

  private readPlain(line: Line): void {
    if (line.text.trim() === '' && line.end - line.start < MAX_STRUCTURED_LINE) this.close();
    else this.extend(line, 'paragraph');
  }

  private readMarkdown(line: Line, previous: Line | undefined): void {
    if (line.text.trim() === '' && line.end - line.start < MAX_STRUCTURED_LINE) {
      this.close();
      return;
    }
    const heading = ATX_HEADING.exec(line.text);
    if (heading && line.end - line.start < MAX_STRUCTURED_LINE) {
      this.close();
      this.pushHeading(heading[1]!.length, heading[2] ?? '', line.start, line.end);
      return;
    }
    if (this.open?.kind === 'paragraph' && previous && this.open.start === previous.start) {
      const underline = SETEXT_UNDERLINE.exec(line.text);
      if (underline && !startsList(previous.text)) {
        const { start } = this.open;
        this.open = undefined;
        this.pushHeading(underline[1]!.startsWith('=') ? 1 : 2, previous.text, start, line.end);
        return;
      }
      if (previous.text.includes('|') && line.text.includes('-') && TABLE_RULE.test(line.text))
        this.open.kind = 'table';
    }
    this.checkDepth(line.text);
    if (this.open?.kind === 'table') {
      if (line.text.includes('|')) {
        this.open.end = line.end;
        return;
      }
      this.close();
    }
    if (startsList(line.text) && this.open) this.close();
    this.extend(line, 'paragraph');
  }

  /** Levels of quotes and lists at the start of a line; lists opened by earlier lines count by indentation. */
  private checkDepth(line: string): void {
    let depth = 0;
    let at = 0;
    let marked = false;
    for (;;) {
      while (line[at] === ' ' || line[at] === '\t') at += 1;
      LIST_MARKER.lastIndex = at;
      const item = LIST_MARKER.exec(line);
      if (item && item.index === at) {
        if (!marked) {
          while ((this.listIndents.at(-1) ?? -1) >= at) this.listIndents.pop();
          this.listIndents.push(at);
          marked = true;
        }
        depth += 1;
        at += item[0].length;
      } else if (line[at] === '>') {
        depth += 1;
        at += 1;
      } else break;
    }
    if (!marked && !/^[ \t]/.test(line)) this.listIndents.length = 0;
    const nested = depth + (marked ? this.listIndents.length - 1 : 0);
    if (nested > this.maxDepth) throw new DocumentTooDeepError(this.maxDepth);
  }

  private extend(line: Line, kind: 'paragraph' | 'table'): void {
    if (this.open) this.open.end = line.end;
    else this.open = { start: line.start, end: line.end, kind };
  }

  private close(): void {
    if (this.open) this.push(this.open.kind, this.open.start, this.open.end);
    this.open = undefined;
  }

  private pushHeading(level: number, title: string, start: number, end: number): void {
    while (this.path.length > 0 && this.path.at(-1)!.level >= level) this.path.pop();
    const plain = plainHeading(title);
    if (plain !== '') this.path.push({ level, title: plain });
    this.headings = this.path.map((entry) => entry.title);
    this.push('heading', start, end);
  }

  private push(kind: DocumentBlock['kind'], start: number, end: number): void {
    const span = trimSpan(this.text, start, end);
    if (span.end > span.start) this.blocks.push({ ...span, kind, headings: this.headings });
  }
}

function startsList(line: string): boolean {
  const at = /^[ \t]*/.exec(line)![0].length;
  LIST_MARKER.lastIndex = at;
  return LIST_MARKER.test(line);
}

function closesFence(line: string, marker: string): boolean {
  const end = line.trim();
  return end.length >= marker.length && end === marker[0]!.repeat(end.length);
}

/** A heading without emphasis, code and link marks, at most 200 characters. */
function plainHeading(title: string): string {
  return title
    .slice(0, 400)
    .replace(/!?\[([^[\]]*)\]\([^()]*\)/g, '$1')
    .replace(/[*`]+|(?<!\w)_+|_+(?!\w)/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
}
