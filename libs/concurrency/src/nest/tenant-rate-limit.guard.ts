import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { type Principal, TenantContext, TenantMissingError } from '@sparkle/contracts';
import { ConcurrencyOptions } from '../concurrency.options.js';
import { type RateLimitDecision, RateLimiter, refusalError } from '../core/rate-limiter.js';
import type { RateLimitDimension } from '../ports/rate-limit-store.port.js';
import { type TenantPlan, TenantPlans } from '../ports/tenant-plans.port.js';
import { RateLimit, type RateLimitSettings, type WindowLimit } from './rate-limit.decorator.js';
import { rateLimitHeaders } from './rate-limit-headers.js';

/**
 * Admits or refuses a request of HTTP (any adapter), WebSocket or gRPC. The tenant's plan (`qps`, `burst`)
 * limits every request; where `@RateLimit` names an action, the user's, action's and tenant's windows do too,
 * all decided in one round trip. Place it after authentication. Override the protected methods for another
 * way to find the caller or to answer.
 *
 * Refuses with `RateLimitedError`, `RateLimitStoreError` (outage policy `closed`), `TenantMissingError`,
 * `TenantPlanMissingError` or `TenantSuspendedError`.
 */
@Injectable()
export class TenantRateLimitGuard implements CanActivate {
  constructor(
    @Inject(Reflector) protected readonly reflector: Reflector,
    @Inject(HttpAdapterHost) protected readonly adapterHost: HttpAdapterHost,
    @Inject(RateLimiter) protected readonly limiter: RateLimiter,
    @Inject(TenantPlans) protected readonly plans: TenantPlans,
    @Inject(ConcurrencyOptions) protected readonly options: ConcurrencyOptions,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const settings = this.settings(context);
    if (settings.skip) return true;
    const principal = this.principal(context);
    if (!principal) throw new TenantMissingError();
    const plan = await this.plans.get(principal.tenantId);
    const decision = await this.limiter.consume({
      tenantId: principal.tenantId,
      cost: settings.cost ?? 1,
      dimensions: this.dimensions(principal, plan, settings),
    });
    this.announce(context, decision);
    if (!decision.admitted) throw refusalError(this.limiter.name, decision);
    return true;
  }

  /** The settings of class and route, the route's winning. */
  protected settings(context: ExecutionContext): RateLimitSettings {
    const merged = this.reflector.getAllAndMerge(RateLimit, [context.getClass(), context.getHandler()]);
    return Array.isArray(merged) ? {} : merged;
  }

  /** Who asks. By default what `principalOf` of the module's options says. */
  protected principal(context: ExecutionContext): Principal | undefined {
    return this.options.principalOf ? this.options.principalOf(context) : TenantContext.current();
  }

  /** What the request counts against. */
  protected dimensions(
    { userId }: Principal,
    plan: TenantPlan,
    settings: RateLimitSettings,
  ): RateLimitDimension[] {
    const dimensions: RateLimitDimension[] = [
      {
        name: 'plan',
        key: 'plan',
        rule: { algorithm: 'token-bucket', limit: plan.qps, windowMs: 1000, burst: plan.burst },
      },
    ];
    const { action } = settings;
    if (action === undefined) return dimensions;
    const add = (name: 'user' | 'action' | 'tenant', key: string, own: WindowLimit | false | undefined) => {
      if (own === false) return;
      const { limit, windowMs } = own ?? this.standardLimit(name, plan);
      const scoped = own && name !== 'action' ? `${action}:${key}` : key;
      dimensions.push({ name, key: scoped, rule: { algorithm: 'sliding-window', limit, windowMs } });
    };
    add('user', userId, settings.userLimit);
    add('action', action, settings.actionLimit);
    add('tenant', 'tenant', settings.tenantLimit);
    return dimensions;
  }

  /** Tells the caller where it stands: headers on HTTP, nothing on other transports. */
  protected announce(context: ExecutionContext, decision: RateLimitDecision): void {
    if (context.getType() !== 'http') return;
    const response: unknown = context.switchToHttp().getResponse();
    for (const [name, value] of rateLimitHeaders(decision)) {
      this.adapterHost.httpAdapter.setHeader(response, name, value);
    }
  }

  private standardLimit(name: 'user' | 'action' | 'tenant', plan: TenantPlan): WindowLimit {
    const own = plan.hourly?.[name];
    return own === undefined ? this.options.rateLimits[name] : { limit: own, windowMs: 3_600_000 };
  }
}
