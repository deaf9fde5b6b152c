import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { TenantContext } from '@sparkle/contracts';
import type { FastifyRequest } from 'fastify';
import { Observable } from 'rxjs';

/** Runs a route's handler within the caller's tenant context. */
@Injectable()
export class TenantContextInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
    if (!principal) return next.handle();
    return new Observable((subscriber) =>
      TenantContext.run(principal, () => next.handle().subscribe(subscriber)),
    );
  }
}
