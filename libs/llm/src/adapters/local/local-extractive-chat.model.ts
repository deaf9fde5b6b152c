import { countTokens, truncateToTokens } from '../../core/token-count.js';
import type { ChatChunk, ChatModel, ChatRequest, ChatResult } from '../../ports/chat-model.port.js';
import { composeAnswer } from './extractive/compose-answer.js';
import { summarise } from './extractive/summarise.js';

const DEFAULT_MAX_OUTPUT_TOKENS = 512;
/** What chat formats add round each message. */
const TOKENS_PER_MESSAGE = 4;

/**
 * Answers and summarises without a language model: it selects sentences of what it is given and copies them,
 * so it cannot invent, reason or translate. Instant, free, deterministic, English and Chinese.
 *
 * - `task: 'answer'` draws on `context` alone. Each sentence ends in the citation of its passage (`[id]`);
 *   without support the answer is exactly one of `UNSUPPORTED_ANSWER`, in the question's language.
 * - `task: 'summarise'` copies the most telling sentences of `context`, or of the messages when there is
 *   none, one a line behind who said them.
 *
 * Tools and temperature have no effect.
 */
export class LocalExtractiveChatModel implements ChatModel {
  readonly id = 'local-extractive';
  readonly local = true;

  async generate(request: ChatRequest): Promise<ChatResult> {
    request.signal?.throwIfAborted();
    const { pieces, truncated } = compose(request);
    return this.result(request, pieces.join(''), truncated);
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    request.signal?.throwIfAborted();
    const { pieces, truncated } = compose(request);
    for (const piece of pieces) {
      for (const [text] of piece.matchAll(
        /\s*(?:[\p{Script=Han}。，、；：！？]{1,4}|[^\s\p{Script=Han}]+|\s+)/gu,
      )) {
        request.signal?.throwIfAborted();
        yield { type: 'text', text };
      }
    }
    request.signal?.throwIfAborted();
    yield { type: 'done', result: this.result(request, pieces.join(''), truncated) };
  }

  countTokens(text: string): number {
    return countTokens(text);
  }

  private result(request: ChatRequest, text: string, truncated: boolean): ChatResult {
    let inputTokens = 0;
    for (const { content } of request.messages) inputTokens += countTokens(content) + TOKENS_PER_MESSAGE;
    return {
      text,
      toolCalls: [],
      usage: { inputTokens, outputTokens: countTokens(text), costUsd: 0 },
      finishReason: truncated ? 'length' : 'stop',
      model: this.id,
    };
  }
}

interface Composition {
  /** Pieces of the text with the white space between them. */
  readonly pieces: readonly string[];
  readonly truncated: boolean;
}

function compose(request: ChatRequest): Composition {
  const maxTokens = request.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS;
  if (request.task === 'summarise') {
    const { lines, truncated } = summarise(request.messages, request.context ?? [], maxTokens);
    return { pieces: lines.map((line, index) => (index === 0 ? line : `\n${line}`)), truncated };
  }
  const question = request.messages.findLast(({ role }) => role === 'user')?.content ?? '';
  return limit(composeAnswer(question, request.context ?? []), maxTokens);
}

/** Keeps whole sentences with their citations while they fit; cuts only a first one that is too long itself. */
function limit(sentences: readonly string[], maxTokens: number): Composition {
  const pieces: string[] = [];
  let tokens = 0;
  for (const sentence of sentences) {
    const piece = pieces.length === 0 ? sentence : ` ${sentence}`;
    tokens += countTokens(piece);
    if (tokens > maxTokens) {
      return {
        pieces: pieces.length > 0 ? pieces : [truncateToTokens(sentence, maxTokens)],
        truncated: true,
      };
    }
    pieces.push(piece);
  }
  return { pieces, truncated: false };
}
