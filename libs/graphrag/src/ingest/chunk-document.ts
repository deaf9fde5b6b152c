import type { ChunkDraft } from '../model.js';
import { type DocumentBlock, readBlocks } from './document-blocks.js';
import { splitSentences, type TextSpan, trimSpan } from './sentences.js';

export interface ChunkOptions {
  /** Tokens a text costs; must not grow when a text is cut, apart from a token or two at the cut. */
  readonly countTokens: (text: string) => number;
  /** Size aimed at, in tokens. Default 250. */
  readonly targetTokens?: number;
  /** Upper bound of a chunk, in tokens. Default 400. */
  readonly maxTokens?: number;
  /** Levels that quotes and lists may nest in Markdown. Default 100. */
  readonly maxDepth?: number;
}

export interface ChunkableDocument {
  readonly title: string;
  readonly format: 'markdown' | 'text';
  readonly text: string;
}

/** Documents longer than this many characters per allowed token are not tried as a single chunk. */
const MAX_CHARACTERS_PER_TOKEN = 50;

interface Unit extends TextSpan {
  readonly heading: boolean;
  readonly headings: readonly string[];
  readonly tokens: number;
}

interface Limits {
  readonly countTokens: (text: string) => number;
  readonly target: number;
  readonly max: number;
}

/**
 * Cuts a document into passages for retrieval. Each chunk is a stretch of the original
 * (`text.slice(start, end)`), chunks stand in order without overlap, and only white space lies between them.
 * A document of at most `maxTokens` is one chunk. A chunk ends between sentences, a table or code block stays
 * whole if it fits, a heading stays with what follows it; only a sentence, line or word longer than `maxTokens`
 * is cut. Linear in the text.
 *
 * @throws DocumentTooDeepError when Markdown nests beyond `maxDepth`.
 */
export function chunkDocument(document: ChunkableDocument, options: ChunkOptions): ChunkDraft[] {
  const max = options.maxTokens ?? 400;
  const limits: Limits = {
    countTokens: options.countTokens,
    target: Math.min(options.targetTokens ?? 250, max),
    max,
  };
  const { text } = document;
  const blocks = readBlocks(text, document.format, options.maxDepth ?? 100);
  if (blocks.length === 0) return [];

  const whole = trimSpan(text, 0, text.length);
  if (whole.end - whole.start <= max * MAX_CHARACTERS_PER_TOKEN) {
    const tokens = limits.countTokens(text.slice(whole.start, whole.end));
    if (tokens <= max)
      return [
        draft(
          text,
          0,
          blocks.map((block) => ({ ...block, heading: block.kind === 'heading', tokens: 0 })),
          tokens,
        ),
      ];
  }

  const units = blocks.flatMap((block) => unitsOf(text, block, limits));
  const chunks: ChunkDraft[] = [];
  for (const group of packUnits(units, limits)) {
    for (const fitting of splitToFit(text, group, limits)) {
      const tokens = limits.countTokens(text.slice(fitting[0]!.start, fitting.at(-1)!.end));
      chunks.push(draft(text, chunks.length, fitting, tokens));
    }
  }
  return chunks;
}

function draft(text: string, ordinal: number, units: readonly Unit[], tokens: number): ChunkDraft {
  const start = units[0]!.start;
  const end = units.at(-1)!.end;
  return { ordinal, headings: sharedHeadings(units), text: text.slice(start, end), start, end, tokens };
}

/** The headings that all content of a chunk stands under; of a chunk of headings only, the last one's. */
function sharedHeadings(units: readonly Unit[]): readonly string[] {
  const content = units.filter((unit) => !unit.heading);
  if (content.length === 0) return units.at(-1)!.headings;
  let shared = content[0]!.headings;
  for (const { headings } of content) {
    if (headings === shared) continue;
    const differing = shared.findIndex((heading, level) => heading !== headings[level]);
    if (differing >= 0) shared = shared.slice(0, differing);
  }
  return shared;
}

function unitsOf(text: string, block: DocumentBlock, limits: Limits): Unit[] {
  const unit = (span: TextSpan): Unit => ({
    start: span.start,
    end: span.end,
    heading: block.kind === 'heading',
    headings: block.headings,
    tokens: limits.countTokens(text.slice(span.start, span.end)),
  });
  if (block.kind === 'paragraph') {
    return splitSentences(text, block).flatMap((sentence) => cutOversized(text, unit(sentence), limits));
  }
  const whole = unit(block);
  if (whole.tokens <= limits.max) return [whole];
  return linesOf(text, block).flatMap((line) => cutOversized(text, unit(line), limits));
}

function linesOf(text: string, span: TextSpan): TextSpan[] {
  const lines: TextSpan[] = [];
  let start = span.start;
  while (start < span.end) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 || newline >= span.end ? span.end : newline;
    const line = trimSpan(text, start, end);
    if (line.end > line.start) lines.push({ start: Math.min(start, line.start), end: line.end });
    start = end + 1;
  }
  return lines;
}

/** Cuts a unit over the limit at clause ends, else at spaces, else anywhere between two characters. */
function cutOversized(text: string, unit: Unit, limits: Limits): Unit[] {
  if (unit.tokens <= limits.max) return [unit];
  const pieces: Unit[] = [];
  let window = Math.max(1, Math.floor(((unit.end - unit.start) * limits.target) / unit.tokens));
  let start = unit.start;
  while (start < unit.end) {
    let end = Math.min(unit.end, start + window);
    if (end < unit.end) end = cutPoint(text, start, end);
    const span = trimSpan(text, start, end);
    const tokens = limits.countTokens(text.slice(span.start, span.end));
    if (tokens > limits.max && end - start > 2) {
      window = Math.max(1, Math.floor(Math.min(window, end - start) / 2));
      continue;
    }
    if (span.end > span.start) pieces.push({ ...unit, ...span, tokens });
    start = end;
  }
  return pieces;
}

const CLAUSE_END = /[,;:，；、：…—]/;

function cutPoint(text: string, start: number, end: number): number {
  const earliest = start + Math.ceil((end - start) * 0.6);
  let space = -1;
  for (let at = end; at > earliest; at -= 1) {
    if (CLAUSE_END.test(text[at - 1]!) && (/\s/.test(text[at] ?? ' ') || text.charCodeAt(at - 1) > 0x2e7f))
      return at;
    if (space < 0 && /\s/.test(text[at - 1]!)) space = at;
  }
  if (space > 0) return space;
  const code = text.charCodeAt(end);
  const insidePair = code >= 0xdc00 && code <= 0xdfff;
  return insidePair ? (end - 1 > start ? end - 1 : end + 1) : end;
}

/** Groups units in order: up to the target, and a new section opens a new group unless the group is small. */
function packUnits(units: readonly Unit[], limits: Limits): Unit[][] {
  const groups: Unit[][] = [];
  let group: Unit[] = [];
  let tokens = 0;
  const close = () => {
    const lastContent = group.findLastIndex((member) => !member.heading);
    const trailing = lastContent < 0 ? [] : group.splice(lastContent + 1);
    if (group.length > 0) groups.push(group);
    group = trailing;
    tokens = trailing.reduce((sum, unit) => sum + unit.tokens, 0);
  };
  for (const unit of units) {
    const total = tokens + unit.tokens;
    const opensSection = unit.heading && group.some((member) => !member.heading);
    const small = tokens < limits.target / 4;
    if (group.length > 0 && (opensSection ? !small : total > limits.target && (!small || total > limits.max)))
      close();
    if (group.length > 0 && tokens + unit.tokens > limits.max) {
      groups.push(group);
      group = [];
      tokens = 0;
    }
    group.push(unit);
    tokens += unit.tokens;
  }
  if (group.length > 0) groups.push(group);
  mergeTail(groups, limits);
  return groups;
}

/** A short last group joins the one before it if it stands under the same headings. */
function mergeTail(groups: Unit[][], limits: Limits): void {
  const last = groups.at(-1);
  const before = groups.at(-2);
  if (!last || !before || last[0]!.heading || last[0]!.headings !== before.at(-1)!.headings) return;
  const sum = (group: readonly Unit[]) => group.reduce((total, unit) => total + unit.tokens, 0);
  if (sum(last) < limits.target / 4 && sum(last) + sum(before) <= limits.max * 0.9) {
    groups.pop();
    before.push(...last);
  }
}

/** White space between units costs tokens too; a group that is over the limit for it is halved. */
function splitToFit(text: string, group: readonly Unit[], limits: Limits): (readonly Unit[])[] {
  if (group.length < 2) return [group];
  if (limits.countTokens(text.slice(group[0]!.start, group.at(-1)!.end)) <= limits.max) return [group];
  const half = group.length >> 1;
  return [...splitToFit(text, group.slice(0, half), limits), ...splitToFit(text, group.slice(half), limits)];
}
