import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import { problemOf as limitOf } from '@sparkle/concurrency';
import { isSparkleError } from '@sparkle/contracts';
import { currentTraceId } from '@sparkle/metrics';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  BodyTooLargeError,
  MediaTypeUnsupportedError,
  NotFoundError,
  RequestInvalidError,
} from './errors.js';
import type { ServerEvent } from './event-stream.js';
import { HTTP_STATUS } from './http-status.js';

/** A problem document (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly instance?: string;
  readonly [extension: string]: unknown;
}

/** Fields of an error that a client may see and can act upon. */
const EXTENSIONS = [
  'issues',
  'retryAfterMs',
  'dimension',
  'limit',
  'remaining',
  'resetMs',
  'scope',
  'allowed',
  'maximum',
  'limitBytes',
  'suggestions',
  'nearest',
  'retryable',
] as const;

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Not processable',
  426: 'Upgrade required',
  429: 'Too many requests',
  499: 'Client closed request',
  500: 'Internal error',
  502: 'Bad answer from a model',
  503: 'Temporarily unavailable',
  504: 'Took too long',
};

/** What a client is told of a failure; unknown failures say nothing of their cause. */
export function problemOf(error: unknown, instance?: string): Problem {
  const known = translate(error);
  const status = statusOf(known);
  const hidden = !isSparkleError(known) || status === 500;
  const code = hidden ? 'INTERNAL_ERROR' : known.code;
  const extensions: Record<string, unknown> = {};
  if (!hidden) {
    for (const name of EXTENSIONS) {
      const value = (known as unknown as Record<string, unknown>)[name];
      if (value !== undefined) extensions[name] = value;
    }
  }
  return {
    type: `urn:sparkle:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title: TITLES[status] ?? 'Error',
    status,
    code,
    detail: hidden ? 'Something went wrong on our side. The request can be tried again.' : known.message,
    ...(instance ? { instance } : {}),
    ...extensions,
  };
}

function statusOf(error: unknown): number {
  if (!isSparkleError(error)) return 500;
  return HTTP_STATUS[error.code] ?? limitOf(error)?.httpStatus ?? 500;
}

const BODY_TYPES = ['application/json', 'text/markdown', 'text/plain', 'multipart/form-data'];

/** Brings errors of Fastify and Nest into our own terms. */
function translate(error: unknown): unknown {
  if (isSparkleError(error)) return error;
  const status =
    error instanceof HttpException
      ? error.getStatus()
      : (error as { statusCode?: number } | null)?.statusCode;
  if (status === 413) return new BodyTooLargeError();
  if (status === 415) return new MediaTypeUnsupportedError(BODY_TYPES);
  if (status === 404) return new NotFoundError('The route');
  if (status !== undefined && status >= 400 && status < 500)
    return new RequestInvalidError([], error instanceof Error ? error.message : undefined);
  return error;
}

const logger = new Logger('ProblemFilter');

/** A failure in mid-stream, as the last server-sent event; logged when it is our fault. */
export function errorEvent(error: unknown): ServerEvent {
  const problem = problemOf(error);
  if (problem.status >= 500) logger.error('A stream failed', error);
  return { event: 'error', data: problem };
}

/** Answers every failure with a problem document; logs those that are our fault, with their cause. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const traceId = currentTraceId();
    const problem: Problem = { ...problemOf(error, request.url.split('?')[0]), ...(traceId && { traceId }) };
    if (problem.status >= 500) logger.error(`${request.method} ${request.url.split('?')[0]} failed`, error);
    if (reply.sent || reply.raw.destroyed) return;
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer realm="sparkle"');
    if (problem.status === 426)
      void reply.headers({ upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13' });
    if (typeof problem.retryAfterMs === 'number' && !reply.hasHeader('retry-after'))
      void reply.header('retry-after', String(Math.max(1, Math.ceil(problem.retryAfterMs / 1000))));
    void reply
      .code(problem.status)
      .header('content-type', 'application/problem+json')
      .send(JSON.stringify(problem));
  }
}
