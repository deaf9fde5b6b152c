import type { IncomingMessage } from 'node:http';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { isSparkleError } from '@sparkle/contracts';
import { catchError, type Observable, throwError } from 'rxjs';
import { HttpInstrumentation } from './http-instrumentation.js';
import { Unmeasured } from './unmeasured.decorator.js';

const IDENTIFIER = /^[A-Za-z_]\w{0,63}$/;

/**
 * Notes what only Nest knows of a request: whether it shall count, and which error made its handler fail. Guards run
 * before interceptors, so what they throw is counted by its HTTP status.
 */
@Injectable()
export class RequestNoteInterceptor implements NestInterceptor {
  constructor(
    @Inject(HttpInstrumentation) private readonly http: HttpInstrumentation,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const request = context.switchToHttp().getRequest<IncomingMessage & { raw?: IncomingMessage }>();
    const raw = request.raw ?? request;
    if (this.reflector.getAllAndOverride(Unmeasured, [context.getHandler(), context.getClass()]))
      this.http.ignore(raw);
    return next.handle().pipe(
      catchError((error: unknown) => {
        this.http.noteError(raw, errorTypeOf(error));
        return throwError(() => error);
      }),
    );
  }
}

/** A Sparkle error's code, or else the error's class. */
function errorTypeOf(error: unknown): string {
  const type = isSparkleError(error) ? error.code : error instanceof Error ? error.name : '';
  return IDENTIFIER.test(type) ? type : 'unknown';
}
