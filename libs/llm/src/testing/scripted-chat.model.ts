import { countTokens } from '../core/token-count.js';
import type { ChatChunk, ChatModel, ChatRequest, ChatResult, TokenPrice } from '../ports/chat-model.port.js';

/** Text to answer with, an error to throw, or `stall`: no answer until the call is cancelled. */
export type ScriptedReply =
  | string
  | Error
  | 'stall'
  /** Parts of a stream; the error comes after them. Without an end, there is no result either. */
  | { readonly parts: readonly string[]; readonly error?: Error; readonly end?: boolean };

/** A chat model that replies as it was told, in order; the last reply repeats. Records what it was asked. */
export class ScriptedChatModel implements ChatModel {
  readonly local = false;
  readonly requests: ChatRequest[] = [];
  contextTokens?: number;
  price?: TokenPrice;
  private readonly replies: ScriptedReply[];

  constructor(
    readonly id: string,
    ...replies: readonly ScriptedReply[]
  ) {
    this.replies = [...replies];
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    const reply = this.next(request);
    if (reply === 'stall') return stall(request.signal);
    if (reply instanceof Error) throw reply;
    if (typeof reply === 'string') return this.result(reply);
    if (reply.error) throw reply.error;
    return this.result(reply.parts.join(''));
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    const reply = this.next(request);
    if (reply === 'stall') return stall(request.signal);
    if (reply instanceof Error) throw reply;
    const { parts, error, end = true } = typeof reply === 'string' ? { parts: [reply] } : reply;
    for (const text of parts) yield { type: 'text', text };
    if (error) throw error;
    if (end) yield { type: 'done', result: this.result(parts.join('')) };
  }

  countTokens(text: string): number {
    return countTokens(text);
  }

  private next(request: ChatRequest): ScriptedReply {
    this.requests.push(request);
    const reply = this.replies.length > 1 ? this.replies.shift() : this.replies[0];
    return reply ?? 'ok';
  }

  private result(text: string): ChatResult {
    const usage = { inputTokens: 10, outputTokens: countTokens(text), costUsd: 0.001 };
    return { text, toolCalls: [], usage, finishReason: 'stop', model: this.id };
  }
}

function stall(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
