import type { SchemaMigration } from '@sparkle/contracts';
import { APPLICATION_ROLE, enableTenantIsolation } from '../core/tenant-isolation.js';
import { TENANT_TABLES } from './0001-initial-schema.js';

/**
 * Roles belong to the whole server, so another database's migration may create the same role at this moment:
 * "already there" counts as done. PostgreSQL 16 separates membership from the right to SET ROLE.
 */
const CREATE_APPLICATION_ROLE = `DO $$
DECLARE
  needed text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${APPLICATION_ROLE}') THEN
    BEGIN
      CREATE ROLE ${APPLICATION_ROLE} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END IF;
  IF NOT pg_has_role(current_user, '${APPLICATION_ROLE}', needed) THEN
    BEGIN
      GRANT ${APPLICATION_ROLE} TO CURRENT_USER;
    EXCEPTION WHEN unique_violation THEN NULL;
    END;
  END IF;
  IF NOT has_schema_privilege('${APPLICATION_ROLE}', current_schema(), 'USAGE') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ${APPLICATION_ROLE}', current_schema());
  END IF;
END $$`;

/** The application role and row-level security on every table that holds tenants' rows. */
export const tenantIsolation: SchemaMigration = {
  name: '0002-tenant-isolation',
  statements: [
    CREATE_APPLICATION_ROLE,
    ...TENANT_TABLES.flatMap((table) => enableTenantIsolation(table)),
    // A tenant sees itself and counts its corpus versions; plans and status are the operator's.
    ...enableTenantIsolation('tenants', { column: 'id', grant: 'SELECT, UPDATE (corpus_version)' }),
  ],
};
