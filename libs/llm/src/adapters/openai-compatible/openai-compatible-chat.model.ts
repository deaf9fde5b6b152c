import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { countTokens } from '../../core/token-count.js';
import { costOf, promptTokens } from '../../core/token-price.js';
import { LlmBadResponseError, LlmUnavailableError } from '../../errors.js';
import type {
  ChatChunk,
  ChatMessage,
  ChatModel,
  ChatRequest,
  ChatResult,
  TokenPrice,
  TokenUsage,
  ToolCall,
} from '../../ports/chat-model.port.js';
import { boundedFetch } from './bounded-fetch.js';
import { toLlmError } from './provider-error.js';
import { ReasoningFilter } from './reasoning-filter.js';

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
  /** Tokens that prompt and answer may have together. Default: not known. */
  readonly contextTokens?: number;
  /**
   * How a request's `jsonSchema` is passed on: `off` not at all, `object` as `json_object` without the schema,
   * `schema` as `json_schema`. Default `off`.
   */
  readonly jsonMode?: 'off' | 'object' | 'schema';
  /** False for an endpoint that refuses requests with tools: they are not sent. Default true. */
  readonly tools?: boolean;
  /** Merged into the body of each request; `null` leaves a field out. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
  /** Longest response, in bytes; a longer one is a bad response. Default 16 MiB. */
  readonly maxResponseBytes?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

type LanguageModel = ReturnType<ReturnType<typeof createOpenAICompatible>['chatModel']>;
type CallOptions = Parameters<LanguageModel['doGenerate']>[0];
type Generated = Awaited<ReturnType<LanguageModel['doGenerate']>>;
type PromptMessage = CallOptions['prompt'][number];

const DEFAULT_MAX_OUTPUT_TOKENS = 512;
const DEFAULT_MAX_RESPONSE_BYTES = 16 << 20;
/** Characters of arguments that were not JSON that the model gets to see again. */
const MAX_QUOTED_ARGUMENTS = 2000;
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
  readonly contextTokens?: number;
  readonly price?: TokenPrice;
  private readonly model: LanguageModel;
  private readonly clock: Clock;

  constructor(private readonly options: OpenAICompatibleChatOptions) {
    this.id = options.model;
    this.clock = options.clock ?? new SystemClock();
    if (options.contextTokens !== undefined) this.contextTokens = options.contextTokens;
    const { inputPricePerMillion = 0, outputPricePerMillion = 0, extraBody } = options;
    if (inputPricePerMillion > 0 || outputPricePerMillion > 0) {
      this.price = { inputPerMillion: inputPricePerMillion, outputPerMillion: outputPricePerMillion };
    }
    this.model = createOpenAICompatible({
      name: 'openaiCompatible',
      baseURL: options.baseUrl,
      includeUsage: true,
      supportsStructuredOutputs: options.jsonMode === 'schema',
      fetch: boundedFetch(options.model, options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES),
      ...(extraBody && {
        transformRequestBody: (body: Readonly<Record<string, unknown>>) => merged(body, extraBody),
      }),
      ...(options.apiKey !== undefined && { apiKey: options.apiKey }),
      ...(options.headers && { headers: { ...options.headers } }),
    }).chatModel(options.model);
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    request.signal?.throwIfAborted();
    const generated = await this.guard(request, () => this.model.doGenerate(this.callOptions(request)));
    const filter = new ReasoningFilter();
    let text = '';
    const toolCalls: ToolCall[] = [];
    for (const part of generated.content) {
      if (part.type === 'text') text += filter.push(part.text);
      else if (part.type === 'tool-call') toolCalls.push(toolCall(part));
    }
    text += filter.end();
    return this.result(request, text, toolCalls, generated.usage, generated.finishReason);
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    request.signal?.throwIfAborted();
    const left = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, left.signal]) : left.signal;
    const { stream } = await this.guard(request, () =>
      this.model.doStream(this.callOptions({ ...request, signal })),
    );
    const reader = stream.getReader();
    const filter = new ReasoningFilter();
    try {
      let text = '';
      const toolCalls: ToolCall[] = [];
      for (;;) {
        const { done, value: part } = await this.guard(request, () => reader.read());
        if (done) throw new LlmUnavailableError(this.id, 'the stream broke off');
        if (part.type === 'text-delta') {
          const delta = filter.push(part.delta);
          if (delta === '') continue;
          text += delta;
          yield { type: 'text', text: delta };
        } else if (part.type === 'tool-call') toolCalls.push(toolCall(part));
        else if (part.type === 'error') throw this.streamError(part.error);
        else if (part.type === 'finish') {
          if (part.finishReason.raw === undefined)
            throw new LlmUnavailableError(this.id, 'the stream broke off');
          const rest = filter.end();
          if (rest !== '') {
            text += rest;
            yield { type: 'text', text: rest };
          }
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

  /** An error part of a stream: it has no end, a part that could not be parsed, or the provider's own message. */
  private streamError(error: unknown): Error {
    if (error instanceof Error && error.name === 'AI_InvalidResponseDataError')
      return new LlmUnavailableError(this.id, 'the stream broke off');
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
    const stated = FINISH_REASONS[finishReason.unified] ?? 'unknown';
    // Some servers end a turn of tool calls with `stop`.
    const reason = toolCalls.length > 0 && stated !== 'length' ? 'tool_calls' : stated;
    if (text === '' && toolCalls.length === 0 && reason !== 'content_filter' && reason !== 'length') {
      throw new LlmBadResponseError(this.id, 'it is empty');
    }
    return { text, toolCalls, usage: this.usage(request, text, usage), finishReason: reason, model: this.id };
  }

  /** What the provider reports, or our own count where it reports nothing. */
  private usage(request: ChatRequest, text: string, reported: Generated['usage']): TokenUsage {
    const inputTokens = reported.inputTokens.total ?? promptTokens(this, request);
    const outputTokens = reported.outputTokens.total ?? countTokens(text);
    return { inputTokens, outputTokens, costUsd: costOf(this.price, inputTokens, outputTokens) };
  }

  private callOptions(request: ChatRequest): CallOptions {
    const { jsonMode = 'off', tools = true } = this.options;
    return {
      ...callOptions(tools ? request : { ...request, tools: [] }),
      ...(request.jsonSchema &&
        jsonMode !== 'off' && {
          responseFormat: { type: 'json' as const, schema: { ...request.jsonSchema } },
        }),
    };
  }
}

function merged(
  body: Readonly<Record<string, unknown>>,
  extra: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...body, ...extra }).filter(([, value]) => value !== null));
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
      ...(request.toolChoice && { toolChoice: { type: request.toolChoice } }),
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
          ...(message.toolCalls ?? []).map((call) => ({
            type: 'tool-call' as const,
            toolCallId: call.id,
            toolName: call.name,
            input: sentArguments(call),
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

/** Servers read arguments as a JSON object and fail on anything else, so what was none is quoted in one. */
function sentArguments({ arguments: input, argumentsError }: ToolCall): unknown {
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
  if (argumentsError === undefined && isObject) return input;
  const text = typeof input === 'string' ? input : (JSON.stringify(input) ?? '');
  return { invalid_arguments: text.slice(0, MAX_QUOTED_ARGUMENTS) };
}

function toolCall(part: {
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: string;
}): ToolCall {
  const call = { id: part.toolCallId, name: part.toolName };
  const text = part.input.trim();
  try {
    // A call without arguments is sent as an empty text by some servers.
    return { ...call, arguments: text === '' ? {} : JSON.parse(text) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'not JSON';
    return { ...call, arguments: part.input, argumentsError: `The arguments are not valid JSON: ${reason}` };
  }
}
