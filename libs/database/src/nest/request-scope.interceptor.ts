import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Observable } from 'rxjs';
import { RequestScope } from '../core/request-scope.js';

/**
 * Gives each request, message or job its {@link RequestScope}, named after its handler. Apply it globally; what
 * runs before interceptors, guards for instance, is outside of the scope.
 */
@Injectable()
export class RequestScopeInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const label = `${context.getClass().name}.${context.getHandler().name}`;
    return new Observable((subscriber) =>
      RequestScope.run(() => {
        const subscription = next.handle().subscribe(subscriber);
        return () => subscription.unsubscribe();
      }, label),
    );
  }
}
