import type { EventEmitter } from 'node:events';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type Principal, TenantContext, type TenantId, TenantMissingError } from '@sparkle/contracts';
import { Observable, type Subscription } from 'rxjs';
import type { Permit } from '../core/permit.js';
import type { Semaphore } from '../core/semaphore.js';
import { Semaphores } from '../core/semaphores.js';
import { TenantPlans } from '../ports/tenant-plans.port.js';
import { PermitDefinition, type PermitSettings } from './permit-definition.decorator.js';

/**
 * Holds the permit that `@WithPermit` names around the handler: from before it starts until it completes,
 * fails or is unsubscribed from. A client that leaves while it waits leaves the queue; a permit that is lost
 * ends the request with `PermitLostError`.
 */
@Injectable()
export class PermitInterceptor implements NestInterceptor {
  private readonly semaphores = new Map<PermitSettings, Semaphore>();

  constructor(
    @Inject(Reflector) protected readonly reflector: Reflector,
    @Inject(Semaphores) private readonly issuer: Semaphores,
    @Inject(TenantPlans) private readonly plans: TenantPlans,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const settings = this.reflector.getAllAndOverride(PermitDefinition, [
      context.getHandler(),
      context.getClass(),
    ]) as PermitSettings | undefined;
    if (!settings) return next.handle();
    const principal = this.principal(context);
    if (!principal) throw new TenantMissingError();
    const semaphore = this.semaphoreOf(settings);
    return new Observable((subscriber) => {
      const waiting = new AbortController();
      let handling: Subscription | undefined;
      let held: Permit | undefined;
      const stopWatching = this.onLeave(context, () => waiting.abort(new Error('The caller has left.')));
      const handle = (permit: Permit) => {
        held = permit;
        if (subscriber.closed) {
          void permit.release();
          return;
        }
        permit.signal.addEventListener('abort', () => subscriber.error(permit.signal.reason), { once: true });
        handling = next.handle().subscribe(subscriber);
      };
      semaphore
        .acquire({ tenantId: principal.tenantId, signal: waiting.signal })
        .then(handle)
        .catch((error: unknown) => subscriber.error(error));
      return () => {
        stopWatching();
        waiting.abort(new Error('The request has ended.'));
        handling?.unsubscribe();
        void held?.release();
      };
    });
  }

  /** Who asks. By default the {@link TenantContext}, whatever the transport. */
  protected principal(_context: ExecutionContext): Principal | undefined {
    return TenantContext.current();
  }

  /** Calls `left` when the caller goes away; by default when an HTTP response closes. Returns how to stop. */
  protected onLeave(context: ExecutionContext, left: () => void): () => void {
    if (context.getType() !== 'http') return () => {};
    const response = context.switchToHttp().getResponse<EventEmitter & { raw?: EventEmitter }>();
    const emitter = response.raw ?? response;
    emitter.once('close', left);
    return () => emitter.off('close', left);
  }

  private readonly planned = async (tenantId: TenantId): Promise<number> =>
    (await this.plans.get(tenantId)).permits;

  private semaphoreOf(settings: PermitSettings): Semaphore {
    let semaphore = this.semaphores.get(settings);
    if (!semaphore) {
      const permits = settings.permits ?? this.planned;
      semaphore = this.issuer.semaphore({ ...settings, permits });
      this.semaphores.set(settings, semaphore);
    }
    return semaphore;
  }
}
