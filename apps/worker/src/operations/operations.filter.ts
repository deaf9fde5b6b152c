import { type ArgumentsHost, Catch, type ExceptionFilter, Inject } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { SparkleError } from '@sparkle/contracts';

/** Everything that the operations of a worker refuse with. */
const STATUS: Readonly<Record<string, number>> = {
  TOKEN_MISSING: 401,
  TOKEN_INVALID: 401,
  TOKEN_EXPIRED: 401,
  SCOPE_MISSING: 403,
  PROFILE_OPTIONS_INVALID: 400,
  PROFILE_IN_PROGRESS: 409,
  PROFILE_ABORTED: 499,
  PROFILE_MEMORY_SHORT: 503,
};

/** Answers the refusals of a worker's operations with the problem documents (RFC 9457) that the api answers with. */
@Catch(SparkleError)
export class OperationsFilter implements ExceptionFilter<SparkleError> {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  catch(error: SparkleError, host: ArgumentsHost): void {
    const { httpAdapter } = this.host;
    const response: unknown = host.switchToHttp().getResponse();
    if (httpAdapter.isHeadersSent(response)) return;
    const status = STATUS[error.code] ?? 500;
    const problem = {
      type: `urn:sparkle:problem:${error.code.toLowerCase().replaceAll('_', '-')}`,
      status,
      code: error.code,
      detail: error.message,
    };
    httpAdapter.setHeader(response, 'content-type', 'application/problem+json');
    httpAdapter.reply(response, JSON.stringify(problem), status);
  }
}
