import { type Clock, channels, type ModelEvent, type Random } from '@sparkle/contracts';
import { isLlmError, LlmTimeoutError } from '../errors.js';
import type { TokenUsage } from '../ports/chat-model.port.js';
import { ModelBreaker } from './model-breaker.js';

export interface CallPolicyOptions {
  /** Most time for one attempt, and for the wait for each part of a stream. Default 60 s. */
  readonly timeoutMs?: number;
  /** Most time for a whole stream, its reader's pauses included. Default 300 s. */
  readonly maxStreamMs?: number;
  /** Attempts on one model, the first included. Default 3. */
  readonly maxAttempts?: number;
  /** Delay before the second attempt; doubles with each further one. Default 250 ms. */
  readonly baseDelayMs?: number;
  /** Longest delay. A provider that asks for more is not waited for. Default 10 s. */
  readonly maxDelayMs?: number;
  /** Failures in a row that open a model's breaker. Default 5. */
  readonly breakerFailures?: number;
  /** Time after which an open breaker lets one call through. Default 10 s. */
  readonly breakerHalfOpenAfterMs?: number;
}

export interface CallSubject {
  readonly model: string;
  readonly operation: ModelEvent['operation'];
  readonly tenantId: string;
  readonly signal?: AbortSignal;
  /** What an attempt cost that the model had begun to work on and that came to nothing. */
  readonly lostUsage?: () => TokenUsage;
  /** Gets that cost, attempt by attempt. */
  readonly onLost?: (usage: TokenUsage) => void;
}

/** Failures that another attempt may cure. A time-out has cost the caller enough already. */
const WORTH_RETRYING: ReadonlySet<string> = new Set([
  'LLM_UNAVAILABLE',
  'LLM_RATE_LIMITED',
  'LLM_BAD_RESPONSE',
]);
/** Failures after which the provider had read the prompt, and charges for it. */
const READ_THE_PROMPT: ReadonlySet<string> = new Set(['LLM_TIMEOUT', 'LLM_BAD_RESPONSE']);

/**
 * Time-out, retry and circuit breaker round one model. Retries use exponential backoff with full jitter
 * (Brooker, "Exponential Backoff and Jitter", AWS 2015) and honour `retryAfterMs`.
 */
export class CallPolicy {
  readonly maxStreamMs: number;
  readonly breaker: ModelBreaker;
  private readonly timeoutMs: number;
  private readonly maxAttempts: number;
  private readonly baseDelayMs: number;
  private readonly maxDelayMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    model: string,
    options: CallPolicyOptions = {},
  ) {
    this.timeoutMs = options.timeoutMs ?? 60_000;
    this.maxStreamMs = options.maxStreamMs ?? 300_000;
    this.maxAttempts = options.maxAttempts ?? 3;
    this.baseDelayMs = options.baseDelayMs ?? 250;
    this.maxDelayMs = options.maxDelayMs ?? 10_000;
    this.breaker = new ModelBreaker(
      clock,
      model,
      options.breakerFailures ?? 5,
      options.breakerHalfOpenAfterMs ?? 10_000,
    );
  }

  /**
   * Runs `attempt` until it succeeds or the policy gives up. The signal an attempt gets stays live after it
   * returned, so that a stream opened by it can still be cancelled.
   */
  async run<T>(subject: CallSubject, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await this.attempt(subject, attempt);
      } catch (error) {
        const delayMs = this.delayBeforeRetry(error, count);
        if (delayMs === undefined || subject.signal?.aborted) throw error;
        await this.clock.sleep(delayMs, subject.signal);
      }
    }
  }

  /** Waits for `work` at most the time-out and no longer than `signal` allows; then aborts `controller`. */
  async withDeadline<T>(
    subject: CallSubject,
    controller: AbortController,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    subject.signal?.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      const stop = (reason: unknown) => {
        controller.abort(reason);
        reject(reason);
      };
      const timer = this.clock.schedule(this.timeoutMs, () =>
        stop(new LlmTimeoutError(subject.model, this.timeoutMs)),
      );
      const onAbort = () => stop(subject.signal?.reason);
      subject.signal?.addEventListener('abort', onAbort, { once: true });
      work(controller.signal)
        .then(resolve, reject)
        .finally(() => {
          timer.cancel();
          subject.signal?.removeEventListener('abort', onAbort);
        });
    });
  }

  /** Publishes one finished call. */
  publish(subject: CallSubject, startedAt: number, outcome: ModelEvent['outcome'], usage?: TokenUsage): void {
    channels.model.publish({
      tenantId: subject.tenantId,
      model: subject.model,
      operation: subject.operation,
      outcome,
      durationMs: this.clock.monotonic() - startedAt,
      inputTokens: usage?.inputTokens ?? 0,
      outputTokens: usage?.outputTokens ?? 0,
      costUsd: usage?.costUsd ?? 0,
    });
  }

  private async attempt<T>(subject: CallSubject, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const startedAt = this.clock.monotonic();
    let begun = false;
    try {
      return await this.breaker.run(subject.signal, () =>
        this.withDeadline(subject, new AbortController(), (signal) => {
          begun = true;
          return work(signal);
        }),
      );
    } catch (error) {
      const outcome = outcomeOf(error, subject.signal);
      const read = isLlmError(error) ? READ_THE_PROMPT.has(error.code) : outcome === 'cancelled';
      const lost = begun && read ? subject.lostUsage?.() : undefined;
      if (lost) subject.onLost?.(lost);
      this.publish(subject, startedAt, outcome, lost);
      throw error;
    }
  }

  private delayBeforeRetry(error: unknown, count: number): number | undefined {
    if (count >= this.maxAttempts || !isLlmError(error) || !WORTH_RETRYING.has(error.code)) return undefined;
    if (error.retryAfterMs !== undefined) {
      return error.retryAfterMs <= this.maxDelayMs ? error.retryAfterMs : undefined;
    }
    return this.random.next() * Math.min(this.maxDelayMs, this.baseDelayMs * 2 ** (count - 1));
  }
}

/** How a failed call counts in {@link ModelEvent}s. */
export function outcomeOf(error: unknown, signal: AbortSignal | undefined): ModelEvent['outcome'] {
  if (isLlmError(error) && error.code === 'LLM_TIMEOUT') return 'timeout';
  if (signal?.aborted) return 'cancelled';
  if (!isLlmError(error)) return 'error';
  if (error.code === 'LLM_RATE_LIMITED') return 'rate_limited';
  return error.code === 'LLM_BREAKER_OPEN' ? 'breaker_open' : 'error';
}
