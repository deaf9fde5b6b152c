import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { SparkleError } from '@sparkle/contracts';
import type { Response } from 'express';

/** The libraries know no HTTP: the application says which status each code has. */
const STATUS: Readonly<Record<string, number>> = {
  RATE_LIMITED: 429,
  TENANT_PLAN_MISSING: 403,
  TENANT_SUSPENDED: 403,
  LIMIT_STORE_FAILED: 503,
};

@Catch(SparkleError)
export class ProblemFilter implements ExceptionFilter<SparkleError> {
  catch({ code, message }: SparkleError, host: ArgumentsHost): void {
    const status = STATUS[code] ?? 500;
    host
      .switchToHttp()
      .getResponse<Response>()
      .status(status)
      .type('application/problem+json')
      .send({ status, code, detail: status === 500 ? undefined : message });
  }
}
