import type { TenantId } from '@sparkle/contracts';

/** One message of a chat prompt. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** On a `tool` message: the call it answers. */
  readonly toolCallId?: string;
  /** On an `assistant` message: the calls the model asked for. */
  readonly toolCalls?: readonly ToolCall[];
}

/** A tool call a model asked for; `arguments` is untrusted until its tool's schema has parsed it. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: unknown;
  /** Why the arguments could not be read, for the model to be told; `arguments` is then the text they came as. */
  readonly argumentsError?: string;
}

/** A tool offered to a model; `parameters` is a JSON Schema object. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A passage the answer may draw on. `id` is what a citation marker refers to. */
export interface ContextPassage {
  readonly id: string;
  readonly kind: 'path' | 'chunk' | 'summary' | 'message' | 'community';
  readonly text: string;
  readonly title?: string;
  /** Relevance to the question in `[0, 1]`, as retrieval ranked it. */
  readonly score?: number;
}

export interface ChatRequest {
  readonly tenantId: TenantId;
  readonly messages: readonly ChatMessage[];
  /**
   * The passages that `messages` already contain as rendered text, in structured form. Remote models ignore
   * it; the local extractive model composes its answer from these and nothing else.
   */
  readonly context?: readonly ContextPassage[];
  /** What the local model does with the request. Default `answer`. */
  readonly task?: 'answer' | 'summarise';
  readonly tools?: readonly ToolDefinition[];
  /** `none` keeps the tools described and asks for text, e.g. after the last step. Default `auto`. */
  readonly toolChoice?: 'auto' | 'none';
  /** Asks for JSON of this schema, where the endpoint is configured to take one; check the answer all the same. */
  readonly jsonSchema?: Readonly<Record<string, unknown>>;
  /** Upper bound of generated tokens. Default 512. */
  readonly maxOutputTokens?: number;
  /** Default 0. */
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

export interface TokenUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Zero for local models. */
  readonly costUsd: number;
}

/** US dollars per million tokens. */
export interface TokenPrice {
  readonly inputPerMillion: number;
  readonly outputPerMillion: number;
}

export interface ChatResult {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly usage: TokenUsage;
  readonly finishReason: 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'unknown';
  /** The model that answered, after fallbacks. */
  readonly model: string;
  /** Set when the model that was asked failed and another one answered. */
  readonly fallback?: true;
}

/** Text deltas, then exactly one `done` with the whole result. */
export type ChatChunk =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'done'; readonly result: ChatResult };

/** A chat model. Failures are `LlmError`s; cancelling `signal` stops the call and rejects with its reason. */
export interface ChatModel {
  /** Stable name, part of cache keys, e.g. `local-extractive` or `qwen-plus`. */
  readonly id: string;
  /** True when nothing leaves the machine and answers are composed from the given context only. */
  readonly local: boolean;
  /** Tokens that prompt and answer may have together; absent when it is not known or not bounded. */
  readonly contextTokens?: number;
  /** Absent for a model that costs nothing. */
  readonly price?: TokenPrice;
  generate(request: ChatRequest): Promise<ChatResult>;
  /** Pulls from the model as the consumer reads; leaving the loop cancels the call. */
  stream(request: ChatRequest): AsyncIterable<ChatChunk>;
  /** Tokens `text` costs with this model's tokenizer (or the nearest one available). */
  countTokens(text: string): number;
}

/** Injection token of the {@link ChatModel} port. */
export const ChatModel = Symbol('ChatModel');
