import type { IncomingMessage } from 'node:http';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { catchError, type Observable, throwError } from 'rxjs';
import { errorTypeOf } from '../core/error-type.js';
import { activeScope } from '../tracing/span-scope.js';
import { HttpInstrumentation } from './http-instrumentation.js';
import { Unmeasured } from './unmeasured.decorator.js';

/**
 * Notes what only Nest knows of a request: whether it shall count, and which error made its handler fail. Guards run
 * before interceptors, so what they throw is counted by its HTTP status.
 */
@Injectable()
export class RequestNoteInterceptor implements NestInterceptor {
  private readonly unmeasured = new Map<object, Map<object, boolean>>();

  constructor(
    @Inject(HttpInstrumentation) private readonly http: HttpInstrumentation,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const request = context.switchToHttp().getRequest<IncomingMessage & { raw?: IncomingMessage }>();
    const raw = request.raw ?? request;
    if (this.isUnmeasured(context)) this.http.ignore(raw);
    return next.handle().pipe(
      catchError((error: unknown) => {
        const type = errorTypeOf(error);
        this.http.noteError(raw, type);
        // Whether the request has failed by this is decided by the status of its response.
        activeScope()?.note(type);
        return throwError(() => error);
      }),
    );
  }

  /** Metadata is looked up once per handler of a class. */
  private isUnmeasured(context: ExecutionContext): boolean {
    const handler = context.getHandler();
    const controller = context.getClass();
    let known = this.unmeasured.get(controller);
    if (!known) {
      known = new Map();
      this.unmeasured.set(controller, known);
    }
    let unmeasured = known.get(handler);
    if (unmeasured === undefined) {
      unmeasured = this.reflector.getAllAndOverride(Unmeasured, [handler, controller]) ?? false;
      known.set(handler, unmeasured);
    }
    return unmeasured;
  }
}
