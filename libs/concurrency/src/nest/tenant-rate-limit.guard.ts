import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { type Principal, TenantContext, TenantMissingError } from '@sparkle/contracts';
import { ConcurrencyOptions } from '../concurrency.options.js';
import { type RateLimitDecision, refusalError } from '../core/rate-limiter.js';
import { type RateLimitSettings, TenantRateLimits } from '../core/tenant-rate-limits.js';
import { RateLimit } from './rate-limit.decorator.js';
import { rateLimitHeaders } from './rate-limit-headers.js';

/**
 * Admits or refuses a request of HTTP (any adapter), WebSocket or gRPC by {@link TenantRateLimits}. Place it after
 * authentication. Override the protected methods for another way to find the caller or to answer.
 *
 * Refuses with `RateLimitedError`, `RateLimitStoreError` (outage policy `closed`), `TenantMissingError`,
 * `TenantPlanMissingError` or `TenantSuspendedError`.
 */
@Injectable()
export class TenantRateLimitGuard implements CanActivate {
  constructor(
    @Inject(Reflector) protected readonly reflector: Reflector,
    @Inject(HttpAdapterHost) protected readonly adapterHost: HttpAdapterHost,
    @Inject(TenantRateLimits) protected readonly limits: TenantRateLimits,
    @Inject(ConcurrencyOptions) protected readonly options: ConcurrencyOptions,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const settings = this.settings(context);
    if (settings.skip) return true;
    const principal = this.principal(context);
    if (!principal) throw new TenantMissingError();
    const decision = await this.limits.consume(principal, settings);
    this.announce(context, decision);
    if (!decision.admitted) throw refusalError(this.limits.name, decision);
    return true;
  }

  /** The settings of class and route, the route's winning. */
  protected settings(context: ExecutionContext): RateLimitSettings {
    return rateLimitSettings(this.reflector, context);
  }

  /** Who asks. By default what `principalOf` of the module's options says. */
  protected principal(context: ExecutionContext): Principal | undefined {
    return this.options.principalOf ? this.options.principalOf(context) : TenantContext.current();
  }

  /** Tells the caller where it stands: headers on HTTP, nothing on other transports. */
  protected announce(context: ExecutionContext, decision: RateLimitDecision): void {
    if (context.getType() !== 'http') return;
    const response: unknown = context.switchToHttp().getResponse();
    for (const [name, value] of rateLimitHeaders(decision)) {
      this.adapterHost.httpAdapter.setHeader(response, name, value);
    }
  }
}

/** What {@link RateLimit} says of a handler: the settings of class and route, the route's winning. */
export function rateLimitSettings(reflector: Reflector, context: ExecutionContext): RateLimitSettings {
  const merged = reflector.getAllAndMerge(RateLimit, [context.getClass(), context.getHandler()]);
  return Array.isArray(merged) ? {} : merged;
}
