import type { TenantId } from '@sparkle/contracts';
import { TenantPlanMissingError } from '../../errors.js';
import type { TenantPlan, TenantPlans } from '../../ports/tenant-plans.port.js';

/** Plans from the configuration: a default one and exceptions. */
export class StaticTenantPlans implements TenantPlans {
  private readonly overrides: ReadonlyMap<string, TenantPlan>;

  /** @param defaultPlan for every tenant without a plan of its own; without it such tenants are refused */
  constructor(
    private readonly defaultPlan?: TenantPlan,
    overrides: Readonly<Record<string, TenantPlan>> = {},
  ) {
    this.overrides = new Map(Object.entries(overrides));
  }

  async get(tenantId: TenantId): Promise<TenantPlan> {
    const plan = this.overrides.get(tenantId) ?? this.defaultPlan;
    if (!plan) throw new TenantPlanMissingError();
    return plan;
  }

  /** Does nothing: the configuration does not change. */
  reload(): void {}
}
