import { status as grpcStatus, Metadata, type StatusObject } from '@grpc/grpc-js';
import { type Problem, problemOf } from '../http/problem.filter.js';

/** What a status of HTTP means in gRPC; the statuses are those of `http-status.ts` and of the limits. */
const STATUS: Readonly<Record<number, grpcStatus>> = {
  400: grpcStatus.INVALID_ARGUMENT,
  401: grpcStatus.UNAUTHENTICATED,
  403: grpcStatus.PERMISSION_DENIED,
  404: grpcStatus.NOT_FOUND,
  409: grpcStatus.ABORTED,
  413: grpcStatus.INVALID_ARGUMENT,
  415: grpcStatus.INVALID_ARGUMENT,
  422: grpcStatus.FAILED_PRECONDITION,
  426: grpcStatus.FAILED_PRECONDITION,
  429: grpcStatus.RESOURCE_EXHAUSTED,
  499: grpcStatus.CANCELLED,
  500: grpcStatus.INTERNAL,
  502: grpcStatus.INTERNAL,
  503: grpcStatus.UNAVAILABLE,
  504: grpcStatus.DEADLINE_EXCEEDED,
};

/** Trailers are bounded by clients, at 8 KiB mostly: a longer problem goes without its details. */
const MAX_PROBLEM_BYTES = 4_096;

/**
 * A failure as gRPC tells it: a status, the problem's sentence, and trailers: `sparkle-code`, `sparkle-problem` (the
 * problem document as JSON, in ASCII), `retry-after` in whole seconds where it makes sense.
 */
export function grpcError(error: unknown): StatusObject {
  const problem = problemOf(error);
  const metadata = new Metadata();
  metadata.set('sparkle-code', problem.code);
  metadata.set('sparkle-problem', asciiJson(problem));
  if (typeof problem.retryAfterMs === 'number')
    metadata.set('retry-after', String(Math.max(1, Math.ceil(problem.retryAfterMs / 1000))));
  return { code: STATUS[problem.status] ?? grpcStatus.UNKNOWN, details: problem.detail, metadata };
}

function asciiJson(problem: Problem): string {
  const text = escapeNonAscii(JSON.stringify(problem));
  if (text.length <= MAX_PROBLEM_BYTES) return text;
  const { type, title, status, code } = problem;
  return escapeNonAscii(JSON.stringify({ type, title, status, code }));
}

/** Trailers are ASCII; JSON can write every other character as an escape. */
function escapeNonAscii(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
