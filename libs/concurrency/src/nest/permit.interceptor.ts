import type { EventEmitter } from 'node:events';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type Principal, TenantContext, type TenantId, TenantMissingError } from '@sparkle/contracts';
import { Observable, type Subscription } from 'rxjs';
import { ConcurrencyOptions } from '../concurrency.options.js';
import type { Permit } from '../core/permit.js';
import type { Semaphore } from '../core/semaphore.js';
import { Semaphores } from '../core/semaphores.js';
import { CallerLeftError } from '../errors.js';
import { TenantPlans } from '../ports/tenant-plans.port.js';
import { onCallerLeft } from './caller-presence.js';
import { PermitActivity } from './permit-activity.js';
import { PermitDefinition, type PermitSettings } from './permit-definition.decorator.js';

type HttpResponse = EventEmitter & { readonly destroyed?: boolean };

/**
 * Holds the permit that `@WithPermit` names around the handler: from before it starts until it has ended, be it
 * by completion, error, or because nobody subscribes to it any more. A promise that goes on after its caller
 * has left keeps the permit until it settles (see `PermitSignal`); a streamed HTTP body keeps it until it is
 * sent or the client leaves. A caller who leaves while waiting leaves the queue, with `CallerLeftError`; a
 * permit that is lost ends the request with `PermitLostError`.
 */
@Injectable()
export class PermitInterceptor implements NestInterceptor {
  private readonly semaphores = new Map<PermitSettings, Semaphore>();

  constructor(
    @Inject(Reflector) protected readonly reflector: Reflector,
    @Inject(Semaphores) private readonly issuer: Semaphores,
    @Inject(TenantPlans) private readonly plans: TenantPlans,
    @Inject(ConcurrencyOptions) private readonly options: ConcurrencyOptions,
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
      const activity = new PermitActivity();
      let handling: Subscription | undefined;
      let held: Permit | undefined;
      let sent: Promise<unknown> | undefined;
      const end = (reason: unknown) => {
        activity.stop(reason);
        subscriber.error(reason);
      };
      const handle = (permit: Permit) => {
        if (subscriber.closed) {
          void permit.release();
          return;
        }
        held = permit;
        permit.signal.addEventListener('abort', () => end(permit.signal.reason), { once: true });
        const results = activity.run(() => next.handle());
        handling = results.subscribe({
          next: (value) => {
            sent ??= this.sending(context, value);
            subscriber.next(value);
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        });
      };
      const stopWatching = onCallerLeft(context, () => {
        const reason = new CallerLeftError();
        activity.stop(reason);
        // On HTTP, Nest itself ends a handler that runs, if that is possible.
        if (!held || context.getType() !== 'http') subscriber.error(reason);
      });
      semaphore
        .acquire({ tenantId: principal.tenantId, signal: activity.signal })
        .then(handle)
        .catch((error: unknown) => subscriber.error(error));
      return () => {
        stopWatching();
        handling?.unsubscribe();
        const giveBack = () => {
          activity.stop(new Error('The request has ended.'));
          activity.whenIdle(() => void held?.release());
        };
        if (sent) void sent.then(giveBack, giveBack);
        else giveBack();
      };
    });
  }

  /** Who asks. By default what `principalOf` of the module's options says. */
  protected principal(context: ExecutionContext): Principal | undefined {
    return this.options.principalOf ? this.options.principalOf(context) : TenantContext.current();
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

  /** For a body that Nest streams after the handler has completed: resolves when the response is over. */
  private sending(context: ExecutionContext, value: unknown): Promise<unknown> | undefined {
    if (context.getType() !== 'http' || !isStreamed(value)) return undefined;
    const response = context.switchToHttp().getResponse<HttpResponse & { raw?: HttpResponse }>();
    const raw = response.raw ?? response;
    return new Promise<void>((resolve) => {
      if (raw.destroyed) resolve();
      else raw.once('close', resolve);
    });
  }
}

function isStreamed(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value instanceof StreamableFile || Symbol.asyncIterator in value || value instanceof Response)
  );
}
