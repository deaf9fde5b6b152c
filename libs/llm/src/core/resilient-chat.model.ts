import { type Clock, type ModelEvent, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { isLlmError, LlmBadResponseError, LlmContextTooLongError, LlmTimeoutError } from '../errors.js';
import type {
  ChatChunk,
  ChatModel,
  ChatRequest,
  ChatResult,
  TokenPrice,
  TokenUsage,
} from '../ports/chat-model.port.js';
import type { ModelAdmission } from '../ports/model-admission.port.js';
import { AdmittedCall } from './admitted-call.js';
import { CallPolicy, type CallPolicyOptions, type CallSubject, outcomeOf } from './call-policy.js';
import { costOf, promptTokens } from './token-price.js';

export interface ResilientChatOptions extends CallPolicyOptions {
  /** Tried in order when the model fails; each has its own breaker. Default none. */
  readonly fallbacks?: readonly ChatModel[];
  readonly admission?: ModelAdmission;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Failures of the request itself: another model would refuse it too, or must not be asked. */
const FINAL: ReadonlySet<string> = new Set([
  'LLM_INPUT_INVALID',
  'LLM_CONTEXT_TOO_LONG',
  'LLM_BUDGET_EXCEEDED',
]);
const DEFAULT_MAX_OUTPUT_TOKENS = 512;

interface Link {
  readonly model: ChatModel;
  readonly policy: CallPolicy;
  readonly isFallback: boolean;
}

/** One call on its way through the chain. */
interface Call {
  /** With every reason to stop in its signal. */
  readonly request: ChatRequest;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  readonly admitted: AdmittedCall;
}

/** The start of a stream: what has been read of it, and how to read on. */
interface Opened {
  readonly link: Link;
  readonly iterator: AsyncIterator<ChatChunk>;
  readonly first: IteratorResult<ChatChunk>;
  readonly controller: AbortController;
  /** Monotonic time at which the attempt began. */
  readonly startedAt: number;
}

/**
 * Puts a time-out, retries, a circuit breaker and fallbacks round a chat model, asks for admission before a
 * call and settles its usage after it, and publishes every call on `channels.model`.
 *
 * A stream is retried, or handed to a fallback, only until its first part has arrived: what a reader has
 * seen is never taken back. The errors are those of the last model tried. A prompt that the model's
 * `contextTokens` cannot hold is refused before anything is sent; fallbacks it does not fit are left out.
 */
export class ResilientChatModel implements ChatModel {
  readonly id: string;
  readonly local: boolean;
  readonly contextTokens?: number;
  readonly price?: TokenPrice;
  private readonly clock: Clock;
  private readonly chain: readonly Link[];
  private readonly admission: ModelAdmission | undefined;

  constructor(
    private readonly model: ChatModel,
    options: ResilientChatOptions = {},
  ) {
    this.id = model.id;
    this.local = model.local;
    if (model.contextTokens !== undefined) this.contextTokens = model.contextTokens;
    if (model.price !== undefined) this.price = model.price;
    this.clock = options.clock ?? new SystemClock();
    this.admission = options.admission;
    const random = options.random ?? new SystemRandom();
    this.chain = [model, ...(options.fallbacks ?? [])].map((link, index) => ({
      model: link,
      policy: new CallPolicy(this.clock, random, link.id, options),
      isFallback: index > 0,
    }));
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    const call = await this.begin(request);
    try {
      const { result, isFallback } = await this.firstToSucceed(
        call,
        async ({ model, policy, isFallback }) => {
          const subject = subjectOf(model, call, 'generate');
          let startedAt = 0;
          const result = await policy.run(subject, async (signal) => {
            startedAt = this.clock.monotonic();
            return model.generate({ ...call.request, signal });
          });
          policy.publish(subject, startedAt, 'success', result.usage);
          return { result, isFallback };
        },
      );
      call.admitted.add(result.usage);
      return isFallback ? { ...result, fallback: true } : result;
    } finally {
      await call.admitted.end();
    }
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    const overrun = new AbortController();
    const call = await this.begin(request, overrun.signal);
    const { maxStreamMs } = (this.chain[0] as Link).policy;
    // Also ends a stream whose reader neither reads on nor leaves: it must not keep its permit.
    const timer = this.clock.schedule(maxStreamMs, () =>
      overrun.abort(new LlmTimeoutError(this.id, maxStreamMs)),
    );
    try {
      const opened = await this.firstToSucceed(call, (link) => open(link, call, this.clock));
      yield* this.relay(opened, call, overrun.signal);
    } finally {
      timer.cancel();
      await call.admitted.end();
    }
  }

  countTokens(text: string): number {
    return this.model.countTokens(text);
  }

  /** Passes parts on as they are asked for, each within the time-out, and accounts for how the stream ended. */
  private async *relay(
    { link, iterator, first, controller, startedAt }: Opened,
    call: Call,
    overrun: AbortSignal,
  ): AsyncGenerator<ChatChunk, void, undefined> {
    const { model, policy, isFallback } = link;
    const subject = subjectOf(model, call, 'stream');
    let text = '';
    let usage: TokenUsage | undefined;
    let failure: unknown;
    let accounted = false;
    /** Once; a reader that left, or a failure, is charged for the prompt and for what it was sent. */
    const account = (outcome: ModelEvent['outcome']) => {
      if (accounted) return;
      accounted = true;
      const charged = usage ?? usageOf(model, call.promptTokens, model.countTokens(text));
      call.admitted.add(charged);
      policy.publish(subject, startedAt, outcome, charged);
    };
    const onOverrun = () => {
      controller.abort(overrun.reason);
      account('timeout');
      void call.admitted.end();
    };
    overrun.addEventListener('abort', onOverrun, { once: true });
    try {
      for (let part = first; !part.done; ) {
        const chunk = part.value;
        if (chunk.type === 'text') {
          text += chunk.text;
          yield chunk;
        } else {
          usage = chunk.result.usage;
          yield isFallback ? { ...chunk, result: { ...chunk.result, fallback: true } } : chunk;
          return;
        }
        part = await policy.withDeadline(subject, controller, () => iterator.next());
      }
      throw new LlmBadResponseError(model.id, 'its stream ended without a result');
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      overrun.removeEventListener('abort', onOverrun);
      controller.abort();
      account(usage ? 'success' : failure ? outcomeOf(failure, subject.signal) : 'cancelled');
      if (usage) policy.breaker.streamEnded();
      else if (failure && !subject.signal?.aborted) await policy.breaker.streamFailed(failure);
      // Not awaited: a model that ignores cancellation must not hold up the reader.
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }

  private async firstToSucceed<T>(call: Call, use: (link: Link) => Promise<T>): Promise<T> {
    let failure: unknown;
    for (const link of this.chain) {
      if (link.isFallback && !fits(link.model, call.request, call.promptTokens)) continue;
      try {
        return await use(link);
      } catch (error) {
        call.request.signal?.throwIfAborted();
        if (!isLlmError(error) || FINAL.has(error.code)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Counts the prompt, refuses what does not fit, and waits for admission. */
  private async begin(request: ChatRequest, further?: AbortSignal): Promise<Call> {
    request.signal?.throwIfAborted();
    const tokens = promptTokens(this.model, request);
    if (!fits(this.model, request, tokens)) throw new LlmContextTooLongError(this.id);
    const grant = await this.admission?.admit({
      tenantId: request.tenantId,
      operation: 'chat',
      estimatedTokens: tokens + (request.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS),
      ...(request.signal && { signal: request.signal }),
    });
    const admitted = new AdmittedCall(grant);
    const signals = [request.signal, grant?.signal, further].filter((signal) => signal !== undefined);
    return {
      request: signals.length > 0 ? { ...request, signal: AbortSignal.any(signals) } : request,
      promptTokens: tokens,
      admitted,
    };
  }
}

/** Opens a stream and waits for its first part, so that a model which fails at once can be replaced. */
async function open(link: Link, call: Call, clock: Clock): Promise<Opened> {
  const { model, policy } = link;
  return policy.run(subjectOf(model, call, 'stream'), async (signal) => {
    const startedAt = clock.monotonic();
    const controller = new AbortController();
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
    const callSignal = call.request.signal
      ? AbortSignal.any([controller.signal, call.request.signal])
      : controller.signal;
    const iterator = model.stream({ ...call.request, signal: callSignal })[Symbol.asyncIterator]();
    return { link, iterator, first: await iterator.next(), controller, startedAt };
  });
}

function subjectOf(
  model: ChatModel,
  { request, promptTokens: tokens, admitted }: Call,
  operation: 'generate' | 'stream',
): CallSubject {
  return {
    model: model.id,
    operation,
    tenantId: request.tenantId,
    lostUsage: () => usageOf(model, tokens, 0),
    onLost: (usage) => admitted.add(usage),
    ...(request.signal && { signal: request.signal }),
  };
}

function usageOf(model: ChatModel, inputTokens: number, outputTokens: number): TokenUsage {
  return { inputTokens, outputTokens, costUsd: costOf(model.price, inputTokens, outputTokens) };
}

function fits({ contextTokens }: ChatModel, request: ChatRequest, tokens: number): boolean {
  return (
    contextTokens === undefined ||
    tokens + (request.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS) <= contextTokens
  );
}
