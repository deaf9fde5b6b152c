import { type Clock, parseTenantId, type TenantDatabase, type TenantId } from '@sparkle/contracts';
import { z } from 'zod';
import { describeProblems } from '../../core/schema-problems.js';
import {
  TenantPlanInvalidError,
  TenantPlanMissingError,
  TenantPlanStoreError,
  TenantSuspendedError,
} from '../../errors.js';
import { type TenantPlan, type TenantPlans, tenantPlanSchema } from '../../ports/tenant-plans.port.js';

export interface DatabaseTenantPlansSettings {
  /** For tenants whose `plan` is null, and for what a plan leaves out. Without it such plans are refused. */
  readonly defaultPlan?: TenantPlan | undefined;
  /** How long an answer is used before it is read again, milliseconds. Default 5000. */
  readonly cacheMs?: number;
  /** How long an old answer is used while the database fails, milliseconds. Default 60,000. */
  readonly staleOnErrorMs?: number;
  /** Bound of the cache. Default 10,000 tenants. */
  readonly maxTenants?: number;
}

/** A plan, or why there is none: refusals are cached too, so that a refused tenant costs no queries. */
type Verdict =
  | { readonly plan: TenantPlan }
  | { readonly refusal: TenantPlanMissingError | TenantSuspendedError | TenantPlanInvalidError };

interface CachedVerdict {
  readonly verdict: Verdict;
  readonly readAtMs: number;
}

const rowSchema = z.object({ status: z.string(), plan: z.unknown() });

/** Plans from `tenants.plan` and `tenants.status`, cached for a few seconds; one query per tenant at a time. */
export class DatabaseTenantPlans implements TenantPlans {
  private readonly cache = new Map<TenantId, CachedVerdict>();
  private readonly reading = new Map<TenantId, Promise<Verdict>>();
  private readonly cacheMs: number;
  private readonly staleOnErrorMs: number;
  private readonly maxTenants: number;

  constructor(
    private readonly database: TenantDatabase,
    private readonly clock: Clock,
    private readonly settings: DatabaseTenantPlansSettings = {},
  ) {
    this.cacheMs = settings.cacheMs ?? 5000;
    this.staleOnErrorMs = settings.staleOnErrorMs ?? 60_000;
    this.maxTenants = settings.maxTenants ?? 10_000;
  }

  async get(tenantId: TenantId): Promise<TenantPlan> {
    const verdict = this.fresh(tenantId, this.cacheMs) ?? (await this.readOnce(tenantId));
    if ('refusal' in verdict) throw verdict.refusal;
    return verdict.plan;
  }

  reload(tenantId?: TenantId): void {
    if (tenantId === undefined) {
      this.cache.clear();
      this.reading.clear();
    } else {
      this.cache.delete(tenantId);
      this.reading.delete(tenantId);
    }
  }

  private fresh(tenantId: TenantId, withinMs: number): Verdict | undefined {
    const cached = this.cache.get(tenantId);
    return cached && this.clock.monotonic() - cached.readAtMs < withinMs ? cached.verdict : undefined;
  }

  private readOnce(tenantId: TenantId): Promise<Verdict> {
    const pending = this.reading.get(tenantId);
    if (pending) return pending;
    const reading: Promise<Verdict> = this.read(tenantId).then(
      (verdict) => {
        // A read that `reload` has overtaken may carry an old plan: its caller gets it, the cache does not.
        if (this.reading.get(tenantId) === reading) {
          this.reading.delete(tenantId);
          this.remember(tenantId, verdict);
        }
        return verdict;
      },
      (error: unknown) => {
        if (this.reading.get(tenantId) === reading) this.reading.delete(tenantId);
        const old = this.fresh(tenantId, this.cacheMs + this.staleOnErrorMs);
        if (old) return old;
        throw new TenantPlanStoreError(error);
      },
    );
    this.reading.set(tenantId, reading);
    return reading;
  }

  private remember(tenantId: TenantId, verdict: Verdict): void {
    this.cache.delete(tenantId);
    if (this.cache.size >= this.maxTenants) {
      const oldest = this.cache.keys().next();
      if (!oldest.done) this.cache.delete(oldest.value);
    }
    this.cache.set(tenantId, { verdict, readAtMs: this.clock.monotonic() });
  }

  private async read(tenantId: TenantId): Promise<Verdict> {
    const rows = await this.database.withTenant(parseTenantId(tenantId), (sql) =>
      sql.query('SELECT status, plan FROM tenants WHERE id = $1', [tenantId]),
    );
    if (rows.length === 0) return { refusal: new TenantPlanMissingError() };
    const { status, plan } = rowSchema.parse(rows[0]);
    if (status !== 'active') return { refusal: new TenantSuspendedError() };
    const { defaultPlan } = this.settings;
    if (plan === null || plan === undefined) {
      return defaultPlan ? { plan: defaultPlan } : { refusal: new TenantPlanMissingError() };
    }
    const complete = typeof plan === 'object' && !Array.isArray(plan) ? { ...defaultPlan, ...plan } : plan;
    const parsed = tenantPlanSchema.safeParse(complete);
    return parsed.success
      ? { plan: parsed.data }
      : { refusal: new TenantPlanInvalidError(describeProblems(parsed.error)) };
  }
}
