import type { TenantPlan } from '@sparkle/concurrency';
import type { Principal, TenantId } from '@sparkle/contracts';
import type { Database } from '@sparkle/database';

/** Callers remembered as registered; beyond that, the oldest are looked up again. */
const REMEMBERED = 10_000;

/** A tenant as an operator sees it. */
export interface RegisteredTenant {
  readonly id: TenantId;
  readonly status: 'active' | 'suspended';
  /** Null: the default plan, where one is configured. */
  readonly plan: TenantPlan | null;
}

/** The tenants and users that exist. */
export class TenantRegistry {
  private readonly remembered = new Set<string>();

  /** @param registerUnknown whether a tenant seen for the first time is taken in: only with a default plan. */
  constructor(
    private readonly database: Database,
    private readonly registerUnknown: boolean,
  ) {}

  /** Makes sure that a verified caller has its rows. An unknown tenant stays unknown unless it may be taken in. */
  async admit({ tenantId, userId }: Principal): Promise<void> {
    const key = `${tenantId}/${userId}`;
    if (this.remembered.has(key)) return;
    await this.database.asSystem(async (sql) => {
      if (this.registerUnknown)
        await sql.query('INSERT INTO tenants (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING', [tenantId]);
      await sql.query(
        'INSERT INTO users (tenant_id, id) SELECT id, $2 FROM tenants WHERE id = $1 ON CONFLICT DO NOTHING',
        [tenantId, userId],
      );
    });
    if (this.remembered.size >= REMEMBERED) {
      const [oldest] = this.remembered;
      this.remembered.delete(oldest!);
    }
    this.remembered.add(key);
  }

  /** Creates a tenant or changes its plan and status. A plan of null means the default plan. */
  async save(tenant: RegisteredTenant): Promise<void> {
    await this.database.asSystem((sql) =>
      sql.query(
        `INSERT INTO tenants (id, name, status, plan) VALUES ($1, $1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, plan = excluded.plan`,
        [tenant.id, tenant.status, tenant.plan && JSON.stringify(tenant.plan)],
      ),
    );
  }

  /** Every tenant, by name. */
  async list(): Promise<RegisteredTenant[]> {
    return this.database.asSystem((sql) =>
      sql.query<RegisteredTenant>('SELECT id, status, plan FROM tenants ORDER BY id'),
    );
  }
}
