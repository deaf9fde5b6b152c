import type { Principal } from '@sparkle/contracts';
import type { RateLimitDimension } from '../ports/rate-limit-store.port.js';
import type { TenantPlan, TenantPlans } from '../ports/tenant-plans.port.js';
import type { RateLimitDecision, RateLimiter } from './rate-limiter.js';

/** A sliding window: at most `limit` in any `windowMs` milliseconds. */
export interface WindowLimit {
  readonly limit: number;
  readonly windowMs: number;
}

/** What a request counts against beside its tenant's plan; `@RateLimit` says it of a controller or a route. */
export interface RateLimitSettings {
  /**
   * Names the action, which switches the per-user, per-action and per-tenant windows on. 1–64 characters of
   * `a-z A-Z 0-9 _ . / -`.
   */
  readonly action?: string;
  /** Units a request consumes. Default 1. */
  readonly cost?: number;
  /** Per user. Own settings count this action alone; the default counts all actions. `false`: none. */
  readonly userLimit?: WindowLimit | false;
  /** Per action. `false`: none. */
  readonly actionLimit?: WindowLimit | false;
  /** Whole tenant. Own settings count this action alone; the default counts all actions. `false`: none. */
  readonly tenantLimit?: WindowLimit | false;
  /** Not limited at all and no tenant needed: health checks, metrics, public pages. */
  readonly skip?: boolean;
}

/** The windows of actions that name none of their own. */
export type ActionWindows = Readonly<Record<'user' | 'action' | 'tenant', WindowLimit>>;

/**
 * Counts requests against a tenant's limits: its plan (`qps`, `burst`) and, where an action is named, the user's,
 * action's and tenant's windows, all decided in one round trip. For requests that no Nest guard sees; the guard
 * asks here, too.
 */
export class TenantRateLimits {
  constructor(
    private readonly limiter: RateLimiter,
    private readonly plans: TenantPlans,
    private readonly windows: ActionWindows,
  ) {}

  /** The limiter's name, as its refusals tell it. */
  get name(): string {
    return this.limiter.name;
  }

  /**
   * Decides and counts; a refused request consumes nothing. `refusalError(limits.name, decision)` is the error for it.
   * @throws TenantPlanMissingError, TenantSuspendedError, RateLimitStoreError (outage policy `closed`).
   */
  async consume(principal: Principal, settings: RateLimitSettings = {}): Promise<RateLimitDecision> {
    const plan = await this.plans.get(principal.tenantId);
    return this.limiter.consume({
      tenantId: principal.tenantId,
      cost: settings.cost ?? 1,
      dimensions: this.dimensions(principal, plan, settings),
    });
  }

  private dimensions(
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

  private standardLimit(name: 'user' | 'action' | 'tenant', plan: TenantPlan): WindowLimit {
    const own = plan.hourly?.[name];
    return own === undefined ? this.windows[name] : { limit: own, windowMs: 3_600_000 };
  }
}
