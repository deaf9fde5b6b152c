import type { Clock } from '@sparkle/contracts';
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  circuitBreaker,
  handleWhen,
  type IBreaker,
} from 'cockatiel';
import { isLlmError, LlmBreakerOpenError } from '../errors.js';

/** Failures that say something about the provider's health, not about the request or the rate of calls. */
const UNHEALTHY: ReadonlySet<string> = new Set(['LLM_UNAVAILABLE', 'LLM_TIMEOUT', 'LLM_BAD_RESPONSE']);

/**
 * Opens after failures in a row. A stream that opened and broke off counts in a row of its own, which only a
 * stream that came to its end breaks: a model that begins every answer and finishes none would never open it
 * otherwise.
 */
class FailuresInARow implements IBreaker {
  state = 0;
  broken = 0;

  constructor(private readonly threshold: number) {}

  success(): void {
    this.state = 0;
  }

  failure(): boolean {
    this.state += 1;
    return this.state >= this.threshold || this.broken >= this.threshold;
  }
}

/** The caller of the one call that tests an open breaker left; nothing is known of the provider. */
class AbandonedTest extends Error {}

/**
 * The circuit breaker of one model, cockatiel's with three things added: streams count when they end, a caller
 * that cancels the testing call does not close it, and while that call is under way others are refused at once
 * rather than made to wait for it.
 */
export class ModelBreaker {
  private readonly policy: CircuitBreakerPolicy;
  private readonly failures: FailuresInARow;
  private openedAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly model: string,
    threshold: number,
    private readonly halfOpenAfterMs: number,
  ) {
    this.failures = new FailuresInARow(threshold);
    this.policy = circuitBreaker(
      handleWhen(
        (error) => error instanceof AbandonedTest || (isLlmError(error) && UNHEALTHY.has(error.code)),
      ),
      { halfOpenAfter: halfOpenAfterMs, breaker: this.failures },
    );
    this.policy.onBreak(() => {
      this.openedAt = this.clock.monotonic();
    });
  }

  /**
   * Runs `work` unless the breaker is open.
   * @throws LlmBreakerOpenError, or what `work` threw
   */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.policy.state === CircuitState.HalfOpen) throw this.open();
    try {
      return await this.policy.execute(async () => {
        try {
          return await work();
        } catch (error) {
          const testing = this.policy.state === CircuitState.HalfOpen;
          throw testing && signal?.aborted ? new AbandonedTest('abandoned', { cause: error }) : error;
        }
      });
    } catch (error) {
      if (error instanceof BrokenCircuitError) throw this.open();
      throw error instanceof AbandonedTest ? error.cause : error;
    }
  }

  /** A stream that {@link run} had opened has failed since. */
  async streamFailed(error: unknown): Promise<void> {
    if (!isLlmError(error) || !UNHEALTHY.has(error.code)) return;
    this.failures.broken += 1;
    if (this.policy.state !== CircuitState.Closed) return;
    await this.policy.execute(() => Promise.reject(error)).catch(() => undefined);
  }

  /** A stream that {@link run} had opened came to its end. */
  streamEnded(): void {
    this.failures.broken = 0;
  }

  private open(): LlmBreakerOpenError {
    const passed = this.clock.monotonic() - this.openedAt;
    return new LlmBreakerOpenError(this.model, Math.max(1, Math.ceil(this.halfOpenAfterMs - passed)));
  }
}
