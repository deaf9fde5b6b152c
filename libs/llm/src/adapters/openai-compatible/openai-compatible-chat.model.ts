import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { countTokens } from '../../core/token-count.js';
import { LlmBadResponseError, LlmUnavailableError } from '../../errors.js';
import type {
  ChatChunk,
  ChatMessage,
  ChatModel,
  ChatRequest,
  ChatResult,
  TokenUsage,
  ToolCall,
} from '../../ports/chat-model.port.js';
import { toLlmError } from './provider-error.js';

export interface OpenAICompatibleChatOptions {
  /** Up to and including the version, e.g. `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** Left out for servers that need none, such as Ollama. */
  readonly apiKey?: string;
  /** Name of the model at the provider; also this model's {@link ChatModel.id}. */
  readonly model: string;
  /** US dollars per million tokens, for usage accounting. Default 0. */
  readonly inputPricePerMillion?: number;
  /** US dollars per million tokens, for usage accounting. Default 0. */
  readonly outputPricePerMillion?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

type LanguageModel = ReturnType<ReturnType<typeof createOpenAICompatible>['chatModel']>;
type CallOptions = Parameters<LanguageModel['doGenerate']>[0];
type Generated = Awaited<ReturnType<LanguageModel['doGenerate']>>;
type PromptMessage = CallOptions['prompt'][number];

const DEFAULT_MAX_OUTPUT_TOKENS = 512;
const TOKENS_PER_MESSAGE = 4;
const FINISH_REASONS: Readonly<Record<string, ChatResult['finishReason']>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
};

/**
 * A chat model behind any endpoint that speaks OpenAI's chat completions protocol (OpenAI, Qwen, DeepSeek,
 * vLLM, Ollama, …), through the AI SDK's provider. One call makes one HTTP request; retries, time-outs and
 * fallbacks are `ResilientChatModel`'s part. Cancelling closes the connection.
 */
export class OpenAICompatibleChatModel implements ChatModel {
  readonly id: string;
  readonly local = false;
  private readonly model: LanguageModel;
  private readonly clock: Clock;

  constructor(private readonly options: OpenAICompatibleChatOptions) {
    this.id = options.model;
    this.clock = options.clock ?? new SystemClock();
    this.model = createOpenAICompatible({
      name: 'openaiCompatible',
      baseURL: options.baseUrl,
      includeUsage: true,
      ...(options.apiKey !== undefined && { apiKey: options.apiKey }),
      ...(options.headers && { headers: { ...options.headers } }),
    }).chatModel(options.model);
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    request.signal?.throwIfAborted();
    const generated = await this.guard(request, () => this.model.doGenerate(callOptions(request)));
    let text = '';
    const toolCalls: ToolCall[] = [];
    for (const part of generated.content) {
      if (part.type === 'text') text += part.text;
      else if (part.type === 'tool-call') toolCalls.push(toolCall(part));
    }
    return this.result(request, text, toolCalls, generated.usage, generated.finishReason);
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    request.signal?.throwIfAborted();
    const left = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, left.signal]) : left.signal;
    const { stream } = await this.guard(request, () =>
      this.model.doStream(callOptions({ ...request, signal })),
    );
    const reader = stream.getReader();
    try {
      let text = '';
      const toolCalls: ToolCall[] = [];
      for (;;) {
        const { done, value: part } = await this.guard(request, () => reader.read());
        if (done) throw new LlmUnavailableError(this.id, 'the stream broke off');
        if (part.type === 'text-delta' && part.delta !== '') {
          text += part.delta;
          yield { type: 'text', text: part.delta };
        } else if (part.type === 'tool-call') toolCalls.push(toolCall(part));
        else if (part.type === 'error') throw this.streamError(part.error);
        else if (part.type === 'finish') {
          if (part.finishReason.raw === undefined)
            throw new LlmUnavailableError(this.id, 'the stream broke off');
          yield {
            type: 'done',
            result: this.result(request, text, toolCalls, part.usage, part.finishReason),
          };
          return;
        }
      }
    } finally {
      left.abort();
      reader.releaseLock();
    }
  }

  countTokens(text: string): number {
    return countTokens(text);
  }

  /** Runs one step of a call; a failure after the caller cancelled is the caller's own reason. */
  private async guard<T>(request: ChatRequest, step: () => PromiseLike<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      request.signal?.throwIfAborted();
      throw toLlmError(error, this.id, this.clock.now());
    }
  }

  /** An error event inside a stream is the provider's own message, or a part that could not be parsed. */
  private streamError(error: unknown): Error {
    return error instanceof Error
      ? toLlmError(error, this.id, this.clock.now())
      : new LlmUnavailableError(this.id, 'it reported an error inside the stream');
  }

  private result(
    request: ChatRequest,
    text: string,
    toolCalls: readonly ToolCall[],
    usage: Generated['usage'],
    finishReason: Generated['finishReason'],
  ): ChatResult {
    const reason = FINISH_REASONS[finishReason.unified] ?? 'unknown';
    if (text === '' && toolCalls.length === 0 && reason !== 'content_filter' && reason !== 'length') {
      throw new LlmBadResponseError(this.id, 'it is empty');
    }
    return { text, toolCalls, usage: this.usage(request, text, usage), finishReason: reason, model: this.id };
  }

  /** What the provider reports, or our own count where it reports nothing. */
  private usage(request: ChatRequest, text: string, reported: Generated['usage']): TokenUsage {
    const inputTokens =
      reported.inputTokens.total ??
      request.messages.reduce((sum, { content }) => sum + countTokens(content) + TOKENS_PER_MESSAGE, 0);
    const outputTokens = reported.outputTokens.total ?? countTokens(text);
    const { inputPricePerMillion = 0, outputPricePerMillion = 0 } = this.options;
    const costUsd = (inputTokens * inputPricePerMillion + outputTokens * outputPricePerMillion) / 1_000_000;
    return { inputTokens, outputTokens, costUsd };
  }
}

function callOptions(request: ChatRequest): CallOptions {
  const toolNames = new Map(
    request.messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name] as const)),
  );
  return {
    prompt: request.messages.map((message) => promptMessage(message, toolNames)),
    maxOutputTokens: request.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS,
    temperature: request.temperature ?? 0,
    ...(request.signal && { abortSignal: request.signal }),
    ...(request.tools?.length && {
      tools: request.tools.map(({ name, description, parameters }) => ({
        type: 'function' as const,
        name,
        description,
        inputSchema: parameters,
      })),
    }),
  };
}

function promptMessage(message: ChatMessage, toolNames: ReadonlyMap<string, string>): PromptMessage {
  const text = { type: 'text' as const, text: message.content };
  switch (message.role) {
    case 'system':
      return { role: 'system', content: message.content };
    case 'user':
      return { role: 'user', content: [text] };
    case 'assistant':
      return {
        role: 'assistant',
        content: [
          ...(message.content === '' ? [] : [text]),
          ...(message.toolCalls ?? []).map(({ id, name, arguments: input }) => ({
            type: 'tool-call' as const,
            toolCallId: id,
            toolName: name,
            input,
          })),
        ],
      };
    case 'tool': {
      const toolCallId = message.toolCallId ?? '';
      return {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId,
            toolName: toolNames.get(toolCallId) ?? '',
            output: { type: 'text', value: message.content },
          },
        ],
      };
    }
  }
}

/** Arguments that are not JSON stay the string they came as; the tool's schema refuses it. */
function toolCall(part: {
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: string;
}): ToolCall {
  let parsed: unknown = part.input;
  try {
    parsed = JSON.parse(part.input === '' ? '{}' : part.input);
  } catch {
    parsed = part.input;
  }
  return { id: part.toolCallId, name: part.toolName, arguments: parsed };
}
