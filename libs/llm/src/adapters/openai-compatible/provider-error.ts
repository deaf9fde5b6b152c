import { isSparkleError } from '@sparkle/contracts';
import {
  LlmAuthFailedError,
  LlmBadResponseError,
  LlmContextTooLongError,
  type LlmError,
  LlmRateLimitedError,
  LlmRequestRejectedError,
  LlmUnavailableError,
} from '../../errors.js';

const CONTEXT_TOO_LONG =
  /context[_ ]length|maximum context|context window|too many tokens|prompt is too long|input is too long|max(?:imum)? input length|range of input length|exceed_context_size|available context size/iu;

interface HttpFailure extends Error {
  readonly statusCode?: number;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: string;
}

/**
 * The {@link LlmError} for whatever a provider call threw. The original is not kept as `cause`: it carries the
 * prompt, the response body and, with some providers, the key that was refused.
 *
 * @param now wall-clock time, to read a `Retry-After` date with.
 */
export function toLlmError(error: unknown, model: string, now: number): LlmError | Error {
  const own = ownError(error);
  if (own) return own;
  const failure = asHttpFailure(error);
  const status = failure?.statusCode;
  if (status !== undefined && status >= 300 && status < 400)
    return new LlmRequestRejectedError(model, status);
  if (failure === undefined || status === undefined || status < 300) {
    return isParseFailure(error) || isParseFailure(failure?.cause)
      ? new LlmBadResponseError(model, 'it is not in the expected format')
      : new LlmUnavailableError(model, 'the connection failed or broke off');
  }
  const retryAfterMs = readRetryAfter(failure.responseHeaders ?? {}, now);
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status === 429) return new LlmRateLimitedError(model, retry);
  if (status === 401 || status === 403) return new LlmAuthFailedError(model);
  if (status === 408 || status >= 500) return new LlmUnavailableError(model, `status ${status}`, retry);
  if (status === 413 || CONTEXT_TOO_LONG.test(failure.responseBody ?? ''))
    return new LlmContextTooLongError(model);
  return new LlmRequestRejectedError(model, status);
}

/** An error of ours, itself or as what the SDK wrapped. */
function ownError(error: unknown): Error | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; depth++) {
    if (isSparkleError(current)) return current;
    current = current.cause;
  }
  return undefined;
}

/** The AI SDK's `APICallError`, told by its shape so that a second installed copy is recognised too. */
function asHttpFailure(error: unknown): HttpFailure | undefined {
  return error instanceof Error && 'statusCode' in error && 'responseHeaders' in error
    ? (error as HttpFailure)
    : undefined;
}

function isParseFailure(error: unknown): boolean {
  return error instanceof Error && /JSONParse|TypeValidation|InvalidResponse|SyntaxError/u.test(error.name);
}

/** `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or `retry-after-ms` as some providers send it. */
function readRetryAfter(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const milliseconds = headers['retry-after-ms'];
  if (milliseconds && /^\d+(?:\.\d+)?$/u.test(milliseconds)) return Math.ceil(Number(milliseconds));
  const value = headers['retry-after']?.trim();
  if (!value) return undefined;
  if (/^\d+(?:\.\d+)?$/u.test(value)) return Math.ceil(Number(value) * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
