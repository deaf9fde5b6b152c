import { SparkleError } from '@sparkle/contracts';

/** Base of every error of `@sparkle/llm`. Messages never hold prompts, answers or keys. */
export abstract class LlmError extends SparkleError {
  /** True when the same call may succeed later, here or on another model. */
  abstract readonly retryable: boolean;
  /** How long the other side asked to wait, in milliseconds, when it said so. */
  readonly retryAfterMs?: number;
}

/** No answer, or no next part of one, within the time allowed. */
export class LlmTimeoutError extends LlmError {
  readonly code = 'LLM_TIMEOUT';
  readonly retryable = true;

  constructor(model: string, timeoutMs: number, options?: { cause?: unknown }) {
    super(`The model "${model}" did not answer within ${timeoutMs} ms.`, options);
  }
}

/** The provider refused because too much was asked in a short time (HTTP 429). */
export class LlmRateLimitedError extends LlmError {
  readonly code = 'LLM_RATE_LIMITED';
  readonly retryable = true;
  override readonly retryAfterMs?: number;

  constructor(model: string, options?: { retryAfterMs?: number; cause?: unknown }) {
    super(`The provider of the model "${model}" limits the rate of calls.`, options);
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** The provider cannot be reached, failed (HTTP 5xx), or broke off. */
export class LlmUnavailableError extends LlmError {
  readonly code = 'LLM_UNAVAILABLE';
  readonly retryable = true;
  override readonly retryAfterMs?: number;

  constructor(model: string, reason: string, options?: { retryAfterMs?: number; cause?: unknown }) {
    super(`The model "${model}" is not available: ${reason}.`, options);
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** The circuit breaker of a model is open: the call was not made. */
export class LlmBreakerOpenError extends LlmError {
  readonly code = 'LLM_BREAKER_OPEN';
  readonly retryable = true;

  constructor(
    model: string,
    override readonly retryAfterMs?: number,
  ) {
    super(`Calls to the model "${model}" are suspended after repeated failures.`);
  }
}

/** The provider answered with something that is not a valid reply. */
export class LlmBadResponseError extends LlmError {
  readonly code = 'LLM_BAD_RESPONSE';
  readonly retryable = true;

  constructor(model: string, reason: string, options?: { cause?: unknown }) {
    super(`The model "${model}" gave an invalid response: ${reason}.`, options);
  }
}

/** The prompt does not fit the model. */
export class LlmContextTooLongError extends LlmError {
  readonly code = 'LLM_CONTEXT_TOO_LONG';
  readonly retryable = false;

  constructor(model: string, options?: { cause?: unknown }) {
    super(`The prompt is longer than the model "${model}" accepts.`, options);
  }
}

/** The provider did not accept the key (HTTP 401, 403). */
export class LlmAuthFailedError extends LlmError {
  readonly code = 'LLM_AUTH_FAILED';
  readonly retryable = false;

  constructor(model: string, options?: { cause?: unknown }) {
    super(`The provider of the model "${model}" refused the credentials.`, options);
  }
}

/** The provider refused the request for another reason (HTTP 4xx). */
export class LlmRequestRejectedError extends LlmError {
  readonly code = 'LLM_REQUEST_REJECTED';
  readonly retryable = false;

  constructor(
    model: string,
    readonly status: number,
    options?: { cause?: unknown },
  ) {
    super(`The provider of the model "${model}" rejected the request with status ${status}.`, options);
  }
}

/** The tenant's token budget does not cover the call, which was not made. */
export class LlmBudgetExceededError extends LlmError {
  readonly code = 'LLM_BUDGET_EXCEEDED';
  readonly retryable = false;
  override readonly retryAfterMs?: number;

  constructor(estimatedTokens: number, options?: { retryAfterMs?: number; cause?: unknown }) {
    super(`The token budget does not cover a call of about ${estimatedTokens} tokens.`, options);
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** The provider refused some texts and embedded the others. */
export class LlmTextsRejectedError extends LlmError {
  readonly code = 'LLM_TEXTS_REJECTED';
  readonly retryable = false;

  /**
   * @param indexes positions of the refused texts in the request.
   * @param vectors what the other texts got, by position; undefined where a text was refused.
   */
  constructor(
    model: string,
    readonly indexes: readonly number[],
    readonly vectors: readonly (Float32Array | undefined)[],
    options?: { cause?: unknown },
  ) {
    super(`The provider of the model "${model}" refused the texts at ${indexes.join(', ')}.`, options);
  }
}

/** The caller passed something a model cannot take. */
export class LlmInputInvalidError extends LlmError {
  readonly code = 'LLM_INPUT_INVALID';
  readonly retryable = false;
}

/** A model or module was configured wrongly. Lists every wrong path, never a value. */
export class LlmOptionsInvalidError extends LlmError {
  readonly code = 'LLM_OPTIONS_INVALID';
  readonly retryable = false;

  constructor(readonly paths: readonly string[]) {
    super(`The options of @sparkle/llm are invalid: ${paths.join('; ')}.`);
  }
}

/** True for an {@link LlmError}. */
export function isLlmError(error: unknown): error is LlmError {
  return error instanceof LlmError;
}
