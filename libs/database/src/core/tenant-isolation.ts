import { IdentifierInvalidError } from '../errors.js';

/** The role every tenant statement runs as. It owns nothing and cannot log in. */
export const APPLICATION_ROLE = 'sparkle_app';

/** Transaction-local setting that names the tenant; what row-level security compares with. */
export const TENANT_SETTING = 'sparkle.tenant_id';

/** Transaction-local setting that opens all tenants to the schema's owner: `system` in `asSystem`. */
export const SCOPE_SETTING = 'sparkle.scope';

const IDENTIFIER = /^[a-z][a-z0-9_]{0,62}$/;

export interface TenantIsolationOptions {
  /** Column that holds the tenant's name. Default `tenant_id`. */
  column?: string;
  /** What the application role may do, as in `GRANT … ON`. Default all of select, insert, update, delete. */
  grant?: string;
}

/**
 * Statements that make rows of `table` visible to their tenant only, for use in a migration of any library.
 * Row-level security is forced, so it binds the owner too; superusers stay exempt unless they switch roles.
 * Partitions need nothing of their own: the parent's policies hold for access through the parent, and the
 * application role gets no access to a partition directly.
 * @throws IdentifierInvalidError when `table` or the column is not a plain lower-case name.
 */
export function enableTenantIsolation(table: string, options: TenantIsolationOptions = {}): string[] {
  const column = options.column ?? 'tenant_id';
  if (!IDENTIFIER.test(table) || !IDENTIFIER.test(column)) throw new IdentifierInvalidError();
  const own = `${column} = current_setting('${TENANT_SETTING}', true)`;
  const system = `current_setting('${SCOPE_SETTING}', true) = 'system'`;
  return [
    `GRANT ${options.grant ?? 'SELECT, INSERT, UPDATE, DELETE'} ON ${table} TO ${APPLICATION_ROLE}`,
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`,
    `ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`,
    `CREATE POLICY tenant_isolation ON ${table} USING (${own}) WITH CHECK (${own})`,
    `CREATE POLICY system_access ON ${table} TO CURRENT_USER USING (${system}) WITH CHECK (${system})`,
  ];
}
