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
    const registered = await this.database.asSystem(async (sql) => {
      if (this.registerUnknown)
        await sql.query('INSERT INTO tenants (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING', [tenantId]);
      await sql.query(
        'INSERT INTO users (tenant_id, id) SELECT id, $2 FROM tenants WHERE id = $1 ON CONFLICT DO NOTHING',
        [tenantId, userId],
      );
      return sql.query('SELECT FROM users WHERE tenant_id = $1 AND id = $2', [tenantId, userId]);
    });
    // An operator may create the tenant at any time: only what exists is remembered.
    if (registered.length === 0) return;
    if (this.remembered.size >= REMEMBERED) {
      const [oldest] = this.remembered;
      this.remembered.delete(oldest!);
    }
    this.remembered.add(key);
  }

  /** Creates a tenant, or changes what `changes` names. A plan of null means the default plan. */
  async save(tenantId: TenantId, changes: Partial<Pick<RegisteredTenant, 'status' | 'plan'>>): Promise<void> {
    const { status, plan } = changes;
    await this.database.asSystem(async (sql) => {
      await sql.query('INSERT INTO tenants (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING', [tenantId]);
      if (status !== undefined)
        await sql.query('UPDATE tenants SET status = $2 WHERE id = $1', [tenantId, status]);
      if (plan !== undefined)
        await sql.query('UPDATE tenants SET plan = $2 WHERE id = $1', [
          tenantId,
          plan && JSON.stringify(plan),
        ]);
    });
  }

  /** Every tenant, by name. */
  async list(): Promise<RegisteredTenant[]> {
    return this.database.asSystem((sql) =>
      sql.query<RegisteredTenant>('SELECT id, status, plan FROM tenants ORDER BY id'),
    );
  }
}
