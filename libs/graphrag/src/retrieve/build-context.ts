import type { ContextPassage } from '@sparkle/llm';
import type { SummaryPoint } from '../adapters/postgres/community.store.js';
import { detectLanguage } from '../extract/entity-name.js';
import { analyse } from '../index/analyse.js';
import { splitSentences } from '../ingest/sentences.js';
import type { GraphPath, RankedChunk, RetrievalResult } from '../model.js';
import { type NodeNaming, verbalisePath } from './verbalise-path.js';

/** What a passage of the context was made from. */
export type ContextSource =
  | { readonly kind: 'path'; readonly path: GraphPath }
  | { readonly kind: 'chunk'; readonly chunk: RankedChunk }
  | { readonly kind: 'community'; readonly points: readonly SummaryPoint[] };

export interface RetrievalContext {
  /** Communities (`G1`, `G2`, …), then paths (`P1`, …), then chunks (`C1`, …), each kind best first. */
  readonly passages: readonly ContextPassage[];
  readonly sources: ReadonlyMap<string, ContextSource>;
  /** Tokens of all passages' titles and texts. */
  readonly tokens: number;
}

export interface ContextOptions {
  readonly question: string;
  readonly countTokens: (text: string) => number;
  /** Upper bound of {@link RetrievalContext.tokens}. Default 2000. */
  readonly tokenBudget?: number;
  /** Default: nodes by their own name. */
  readonly naming?: NodeNaming;
}

/** Paths may take this share of the budget, so that passages always have room. */
const PATH_SHARE = 0.4;
/** Less room than this is left empty: a piece of a passage this small helps nobody. */
const MIN_PIECE_TOKENS = 24;

/**
 * Makes the context a model answers from. A path's passage holds the chain and the statements behind it; a
 * statement or a chunk's text is never given twice. A chunk that does not fit is cut to those of its sentences
 * that share most words with the question, in their order.
 */
export function buildContext(result: RetrievalResult, options: ContextOptions): RetrievalContext {
  const budget = options.tokenBudget ?? 2000;
  const passages: ContextPassage[] = [];
  const sources = new Map<string, ContextSource>();
  const statements = new Set<string>();
  let tokens = 0;

  const language = detectLanguage(options.question);
  const seenPaths = new Set<string>();
  for (const path of result.paths) {
    const chain = verbalisePath(path, language, options.naming);
    if (chain === '' || seenPaths.has(chain)) continue;
    const fresh = new Set(
      path.steps.flatMap(({ statement }) => (statement && !statements.has(statement) ? [statement] : [])),
    );
    const text = [chain, ...fresh].join('\n');
    const cost = options.countTokens(text);
    if (tokens + cost > budget * PATH_SHARE) continue;
    seenPaths.add(chain);
    for (const statement of fresh) statements.add(statement);
    const id = `P${seenPaths.size}`;
    passages.push({ id, kind: 'path', text, score: path.score });
    sources.set(id, { kind: 'path', path });
    tokens += cost;
  }

  const seenTexts = new Set<string>();
  for (const chunk of result.chunks) {
    if (seenTexts.has(chunk.text)) continue;
    const title = [
      chunk.documentTitle,
      ...chunk.headings.filter((heading) => heading !== chunk.documentTitle),
    ].join(' › ');
    const room = budget - tokens - options.countTokens(title);
    const text = fitText(chunk.text, room, options);
    if (text === '') continue;
    seenTexts.add(chunk.text);
    const id = `C${seenTexts.size}`;
    passages.push({ id, kind: 'chunk', title, text, score: chunk.score });
    sources.set(id, { kind: 'chunk', chunk });
    tokens += options.countTokens(title) + options.countTokens(text);
  }
  return { passages, sources, tokens };
}

function fitText(text: string, room: number, options: ContextOptions): string {
  if (options.countTokens(text) <= room) return text;
  if (room < MIN_PIECE_TOKENS) return '';
  const wanted = new Set(analyse(options.question));
  const sentences = splitSentences(text).map(({ start, end }, order) => {
    const sentence = text.slice(start, end);
    const shared = new Set(analyse(sentence).filter((term) => wanted.has(term))).size;
    return { sentence, order, shared, tokens: options.countTokens(sentence) + 1 };
  });
  const kept: typeof sentences = [];
  let used = 0;
  for (const candidate of [...sentences].sort(
    (left, right) => right.shared - left.shared || left.order - right.order,
  )) {
    if (used + candidate.tokens > room) continue;
    kept.push(candidate);
    used += candidate.tokens;
  }
  const joined = kept
    .sort((left, right) => left.order - right.order)
    .map(({ sentence }, index, all) => {
      const before = all[index - 1]?.sentence;
      if (before === undefined) return sentence;
      return isHeading(before) || isHeading(sentence) ? `\n\n${sentence}` : ` ${sentence}`;
    })
    .join('');
  return options.countTokens(joined) <= room ? joined : '';
}

function isHeading(line: string): boolean {
  return /^#{1,6}\s/.test(line);
}
