import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { RequestScope } from '@sparkle/database';
import type { FastifyRequest } from 'fastify';
import { Observable } from 'rxjs';
import { Gateway } from './gateway.js';

/** Runs a route's handler in its caller's context, as every door does; an open route has none. */
@Injectable()
export class CallerContextInterceptor implements NestInterceptor {
  constructor(@Inject(Gateway) private readonly gateway: Gateway) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
    const label = `${context.getClass().name}.${context.getHandler().name}`;
    return new Observable((subscriber) => {
      const handle = () => next.handle().subscribe(subscriber);
      return principal ? this.gateway.run(principal, label, handle) : RequestScope.run(handle, label);
    });
  }
}
