import { type Clock, type Random, SystemClock, SystemRandom } from '@sparkle/contracts';
import { isLlmError } from '../errors.js';
import type { ChatChunk, ChatModel, ChatRequest, ChatResult, TokenUsage } from '../ports/chat-model.port.js';
import type { AdmissionGrant, ModelAdmission } from '../ports/model-admission.port.js';
import { CallPolicy, type CallPolicyOptions, type CallSubject, outcomeOf } from './call-policy.js';

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
const TOKENS_PER_MESSAGE = 4;

interface Link {
  readonly model: ChatModel;
  readonly policy: CallPolicy;
}

/** The start of a stream: what has been read of it, and how to read on. */
interface Opened {
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
 * seen is never taken back. The errors are those of the last model tried.
 */
export class ResilientChatModel implements ChatModel {
  readonly id: string;
  readonly local: boolean;
  private readonly clock: Clock;
  private readonly chain: readonly Link[];
  private readonly admission: ModelAdmission | undefined;

  constructor(
    private readonly model: ChatModel,
    options: ResilientChatOptions = {},
  ) {
    this.id = model.id;
    this.local = model.local;
    this.clock = options.clock ?? new SystemClock();
    this.admission = options.admission;
    const random = options.random ?? new SystemRandom();
    this.chain = [model, ...(options.fallbacks ?? [])].map((link) => ({
      model: link,
      policy: new CallPolicy(this.clock, random, options),
    }));
  }

  async generate(request: ChatRequest): Promise<ChatResult> {
    request.signal?.throwIfAborted();
    const grant = await this.admit(request);
    try {
      const admitted = withSignal(request, grant?.signal);
      const result = await this.firstToSucceed(admitted, async ({ model, policy }) => {
        const subject = subjectOf(model, admitted, 'generate');
        let startedAt = 0;
        const answer = await policy.run(subject, (signal) => {
          startedAt = this.clock.monotonic();
          return model.generate({ ...admitted, signal });
        });
        policy.publish(subject, startedAt, 'success', answer.usage);
        return answer;
      });
      await settle(grant, result.usage);
      return result;
    } finally {
      await release(grant);
    }
  }

  async *stream(request: ChatRequest): AsyncGenerator<ChatChunk, void, undefined> {
    request.signal?.throwIfAborted();
    const grant = await this.admit(request);
    try {
      const admitted = withSignal(request, grant?.signal);
      const { link, opened } = await this.firstToSucceed(admitted, async (link) => ({
        link,
        opened: await open(link, admitted, this.clock),
      }));
      yield* this.relay(link, opened, admitted, grant);
    } finally {
      await release(grant);
    }
  }

  countTokens(text: string): number {
    return this.model.countTokens(text);
  }

  /** Passes parts on as they are asked for, each within the time-out, and accounts for how the stream ended. */
  private async *relay(
    { model, policy }: Link,
    { iterator, first, controller, startedAt }: Opened,
    request: ChatRequest,
    grant: AdmissionGrant | undefined,
  ): AsyncGenerator<ChatChunk, void, undefined> {
    const subject = subjectOf(model, request, 'stream');
    let text = '';
    let usage: TokenUsage | undefined;
    let failure: unknown;
    try {
      for (let part = first; !part.done; ) {
        const chunk = part.value;
        if (chunk.type === 'text') text += chunk.text;
        else usage = chunk.result.usage;
        yield chunk;
        part = await policy.withDeadline(subject, controller, () => iterator.next());
      }
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      controller.abort();
      // A reader that left, or a failure, is charged for the prompt and for what it was sent.
      const charged = usage ?? {
        inputTokens: this.promptTokens(request),
        outputTokens: model.countTokens(text),
        costUsd: 0,
      };
      const outcome = usage ? 'success' : failure ? outcomeOf(failure, request.signal) : 'cancelled';
      policy.publish(subject, startedAt, outcome, charged);
      if (failure && !request.signal?.aborted) await policy.recordLateFailure(failure);
      await settle(grant, charged);
      // Not awaited: a model that ignores cancellation must not hold up the reader.
      void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }

  private async firstToSucceed<T>(request: ChatRequest, use: (link: Link) => Promise<T>): Promise<T> {
    let failure: unknown;
    for (const link of this.chain) {
      try {
        return await use(link);
      } catch (error) {
        request.signal?.throwIfAborted();
        if (!isLlmError(error) || FINAL.has(error.code)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  private async admit(request: ChatRequest): Promise<AdmissionGrant | undefined> {
    return this.admission?.admit({
      tenantId: request.tenantId,
      estimatedTokens: this.promptTokens(request) + (request.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS),
      ...(request.signal && { signal: request.signal }),
    });
  }

  private promptTokens(request: ChatRequest): number {
    return request.messages.reduce(
      (sum, { content }) => sum + this.model.countTokens(content) + TOKENS_PER_MESSAGE,
      0,
    );
  }
}

/** Opens a stream and waits for its first part, so that a model which fails at once can be replaced. */
async function open({ model, policy }: Link, request: ChatRequest, clock: Clock): Promise<Opened> {
  const subject = subjectOf(model, request, 'stream');
  return policy.run(subject, async (signal) => {
    const startedAt = clock.monotonic();
    const controller = new AbortController();
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
    const callSignal = request.signal
      ? AbortSignal.any([controller.signal, request.signal])
      : controller.signal;
    const iterator = model.stream({ ...request, signal: callSignal })[Symbol.asyncIterator]();
    return { iterator, first: await iterator.next(), controller, startedAt };
  });
}

function subjectOf(model: ChatModel, request: ChatRequest, operation: 'generate' | 'stream'): CallSubject {
  return {
    model: model.id,
    operation,
    tenantId: request.tenantId,
    ...(request.signal && { signal: request.signal }),
  };
}

function withSignal(request: ChatRequest, signal: AbortSignal | undefined): ChatRequest {
  if (!signal) return request;
  return { ...request, signal: request.signal ? AbortSignal.any([request.signal, signal]) : signal };
}

/** An answer that was paid for is not lost because it could not be booked: the reservation expires by itself. */
async function settle(grant: AdmissionGrant | undefined, usage: TokenUsage): Promise<void> {
  await grant?.settle(usage).catch(() => undefined);
}

async function release(grant: AdmissionGrant | undefined): Promise<void> {
  await grant?.release().catch(() => undefined);
}
