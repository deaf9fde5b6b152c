import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { problemOf } from '@sparkle/concurrency';
import { SparkleError } from '@sparkle/contracts';
import type { Response } from 'express';

/** The libraries throw no HTTP exceptions; they say which status their errors mean. */
@Catch(SparkleError)
export class ProblemFilter implements ExceptionFilter<SparkleError> {
  catch(error: SparkleError, host: ArgumentsHost): void {
    const { httpStatus: status, code, message: detail } = problemOf(error) ?? INTERNAL;
    host
      .switchToHttp()
      .getResponse<Response>()
      .status(status)
      .type('application/problem+json')
      .send({ status, code, detail });
  }
}

const INTERNAL = { httpStatus: 500, code: 'INTERNAL_ERROR', message: 'Something went wrong on our side.' };
