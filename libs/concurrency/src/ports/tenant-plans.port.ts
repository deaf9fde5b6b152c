import type { TenantId } from '@sparkle/contracts';
import { z } from 'zod';

const count = z.number().int().positive().max(1_000_000_000);

/** What a tenant has bought. Every number is a positive whole number. */
export const tenantPlanSchema = z.strictObject({
  /** Requests per second, on average. */
  qps: count,
  /** Requests at once: the size of the token bucket that `qps` refills. */
  burst: count,
  /** Permits of a tenant-scoped semaphore that names no number of its own. */
  permits: count,
  /** Threads of the tenant's worker pool, at most 4. */
  threadShare: z.number().int().min(1).max(4),
  /** Language model tokens per window. */
  tokenBudget: z.strictObject({ tokens: count, windowMs: count }),
  /** Hourly limits of this tenant where they differ from the module's. */
  hourly: z
    .strictObject({ user: count.optional(), action: count.optional(), tenant: count.optional() })
    .optional(),
});

export type TenantPlan = Readonly<z.infer<typeof tenantPlanSchema>>;

/** Looks up what a tenant may use. */
export interface TenantPlans {
  /**
   * @throws TenantPlanMissingError for an unknown tenant, or one without a plan when there is no default.
   * @throws TenantSuspendedError for a suspended tenant.
   * @throws TenantPlanInvalidError when the stored plan does not fit {@link tenantPlanSchema}.
   * @throws TenantPlanStoreError when it could not be read.
   */
  get(tenantId: TenantId): Promise<TenantPlan>;
  /** Forgets cached plans, of one tenant or of all, so that the next {@link get} reads anew. */
  reload(tenantId?: TenantId): void;
}

/** Injection token of the {@link TenantPlans} port. */
export const TenantPlans = Symbol('TenantPlans');
