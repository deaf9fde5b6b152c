import type { TenantId } from '@sparkle/contracts';
import {
  answerPrompt,
  type ChatModel,
  isUnsupportedAnswer,
  type TokenUsage,
  UNSUPPORTED_ANSWER,
} from '@sparkle/llm';
import type { SummaryPoint } from '../adapters/postgres/community.store.js';
import { detectLanguage } from '../extract/entity-name.js';
import { analyse } from '../index/analyse.js';
import { splitSentences } from '../ingest/sentences.js';
import type { RankedChunk } from '../model.js';
import type { ContextSource, RetrievalContext } from '../retrieve/build-context.js';

/** A passage that an answer rests on. */
export interface Citation {
  /** As it stands in the answer, without brackets, e.g. `C1`. */
  readonly marker: string;
  readonly chunkId: string;
  readonly documentId: string;
  readonly documentTitle: string;
  /** The words of the chunk that support the answer best, as they stand there. */
  readonly quote: string;
}

export interface ComposedAnswer {
  readonly text: string;
  readonly citations: readonly Citation[];
  /** False when the context does not answer the question; the text then says so. */
  readonly supported: boolean;
  readonly usage: TokenUsage;
  readonly model: string;
}

export interface AnswerRequest {
  readonly tenantId: TenantId;
  readonly question: string;
  readonly context: RetrievalContext;
  /** Finds a chunk that a path rests on but that is not itself in the context. */
  readonly chunkOf?: (chunkId: string) => Omit<RankedChunk, 'score'> | undefined;
  /** Default 512. */
  readonly maxOutputTokens?: number;
  readonly signal?: AbortSignal;
}

const NO_USAGE: TokenUsage = { inputTokens: 0, outputTokens: 0, costUsd: 0 };

/**
 * Asks the model and checks what it says: markers of passages that it was not given are removed, and an answer
 * that cites nothing is replaced by saying that the material does not answer. An empty context is not sent.
 * Failures of the model pass through.
 */
export async function composeAnswer(request: AnswerRequest, model: ChatModel): Promise<ComposedAnswer> {
  const language = detectLanguage(request.question);
  const unsupported = UNSUPPORTED_ANSWER[language];
  const { passages } = request.context;
  if (passages.length === 0) {
    return { text: unsupported, citations: [], supported: false, usage: NO_USAGE, model: model.id };
  }
  const result = await model.generate({
    tenantId: request.tenantId,
    messages: answerPrompt.render({ question: request.question, passages }),
    context: passages,
    task: 'answer',
    ...(request.maxOutputTokens === undefined ? {} : { maxOutputTokens: request.maxOutputTokens }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  return { ...checkAnswer(result.text, request), usage: result.usage, model: result.model };
}

/** The checks of {@link composeAnswer} on a text that a model has produced already, e.g. by streaming. */
export function checkAnswer(
  raw: string,
  request: Pick<AnswerRequest, 'question' | 'context' | 'chunkOf'>,
): Pick<ComposedAnswer, 'text' | 'citations' | 'supported'> {
  const unsupported = UNSUPPORTED_ANSWER[detectLanguage(request.question)];
  const { text, markers } = keepGivenMarkers(raw, request.context.sources);
  const citations = markers.flatMap((marker) => citationsOf(marker, text, request));
  if (isUnsupportedAnswer(text) || citations.length === 0) {
    return { text: unsupported, citations: [], supported: false };
  }
  return { text, citations, supported: true };
}

/** The passages behind markers, in order; markers that no passage has are left out. */
export function citationsFor(
  markers: readonly string[],
  request: Pick<AnswerRequest, 'question' | 'context' | 'chunkOf'>,
): Citation[] {
  return markers.flatMap((marker) => citationsOf(marker, '', request));
}

const MARKERS = /\s?\[((?:[PCG]\d{1,4})(?:\s?[,;，、]\s?[PCG]\d{1,4})*)\]/g;

/** Removes markers that no passage has, splits `[C1, C2]`, and lists the rest in order of appearance. */
function keepGivenMarkers(
  raw: string,
  sources: ReadonlyMap<string, ContextSource>,
): { text: string; markers: string[] } {
  const markers = new Set<string>();
  const text = raw.replace(MARKERS, (whole, list: string) => {
    const given = list.split(/\s?[,;，、]\s?/).filter((marker) => sources.has(marker));
    for (const marker of given) markers.add(marker);
    if (given.length === 0) return '';
    return (/^\s/.test(whole) ? ' ' : '') + given.map((marker) => `[${marker}]`).join('');
  });
  return { text: text.trim(), markers: [...markers] };
}

function citationsOf(
  marker: string,
  text: string,
  request: Pick<AnswerRequest, 'question' | 'context' | 'chunkOf'>,
): Citation[] {
  const source = request.context.sources.get(marker);
  if (!source) return [];
  if (source.kind === 'chunk') {
    const { chunk } = source;
    const said = statementsAt(text, marker);
    const verbatim = said.find((statement) => chunk.text.includes(statement));
    const quote = verbatim ?? bestSentence(chunk.text, [request.question, ...said].join(' '));
    return [citation(marker, chunk, quote)];
  }
  if (source.kind === 'community') return pointCitations(marker, text, source.points, request);
  const inContext = new Map<string, Omit<RankedChunk, 'score'>>();
  for (const given of request.context.sources.values()) {
    if (given.kind === 'chunk') inContext.set(given.chunk.chunkId, given.chunk);
  }
  const citations = new Map<string, Citation>();
  for (const step of source.path.steps) {
    if (step.chunkId === undefined || citations.has(step.chunkId)) continue;
    const chunk = inContext.get(step.chunkId) ?? request.chunkOf?.(step.chunkId);
    if (!chunk) continue;
    const quote =
      step.statement !== undefined && chunk.text.includes(step.statement) ? step.statement : undefined;
    citations.set(
      step.chunkId,
      citation(
        marker,
        chunk,
        quote ?? bestSentence(chunk.text, `${step.from} ${step.to} ${step.statement ?? ''}`),
      ),
    );
  }
  return [...citations.values()];
}

/** Passages behind the points of a summary that the answer repeats, or behind its first point. */
function pointCitations(
  marker: string,
  text: string,
  points: readonly SummaryPoint[],
  request: Pick<AnswerRequest, 'question' | 'chunkOf'>,
): Citation[] {
  const said = statementsAt(text, marker);
  const repeated = points.filter((point) => said.some((statement) => point.text.includes(statement)));
  const chunkIds = (repeated.length > 0 ? repeated : points.slice(0, 1)).flatMap((point) => point.chunkIds);
  return [...new Set(chunkIds)].flatMap((chunkId) => {
    const chunk = request.chunkOf?.(chunkId);
    if (!chunk) return [];
    return [citation(marker, chunk, bestSentence(chunk.text, [request.question, ...said].join(' ')))];
  });
}

function citation(marker: string, chunk: Omit<RankedChunk, 'score'>, quote: string): Citation {
  return {
    marker,
    chunkId: chunk.chunkId,
    documentId: chunk.documentId,
    documentTitle: chunk.documentTitle,
    quote,
  };
}

/** What an answer says right before a marker, sentence by sentence. */
function statementsAt(text: string, marker: string): string[] {
  const parts = text.split(/((?:\s?\[[PCG]\d{1,4}\])+)/);
  const statements: string[] = [];
  for (let index = 0; index + 1 < parts.length; index += 2) {
    if (!parts[index + 1]!.includes(`[${marker}]`)) continue;
    const said = parts[index]!.trim();
    statements.push(...splitSentences(said).map(({ start, end }) => said.slice(start, end).trim()));
  }
  return statements.filter((statement) => statement !== '');
}

/** The sentence of a text that shares most distinct terms with `wanted`, per square root of its length. */
function bestSentence(text: string, wanted: string): string {
  const terms = new Set(analyse(wanted));
  let best = '';
  let bestScore = -1;
  for (const { start, end } of splitSentences(text)) {
    const sentence = text.slice(start, end);
    if (/^#{1,6} /.test(sentence)) continue;
    const own = new Set(analyse(sentence));
    let shared = 0;
    for (const term of own) if (terms.has(term)) shared += 1;
    const score = shared / Math.sqrt(Math.max(4, own.size));
    if (score > bestScore) {
      best = sentence;
      bestScore = score;
    }
  }
  return best;
}
