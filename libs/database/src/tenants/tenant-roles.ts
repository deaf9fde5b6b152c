import { createHash, createHmac } from 'node:crypto';
import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { errorCode } from '../core/connection-failure.js';
import type { Database } from '../core/database.service.js';
import { APPLICATION_ROLE } from '../core/tenant-isolation.js';
import {
  TenantResourcesInvalidError,
  TenantRolePrivilegeError,
  TenantRoleSecretInvalidError,
} from '../errors.js';
import { scramVerifier } from './scram-verifier.js';
import {
  type TenantResources,
  type TenantResourcesInput,
  tenantResourcesSchema,
} from './tenant-resources.js';

const LEAST_SECRET_LENGTH = 32;
const INSUFFICIENT_PRIVILEGE = '42501';

/** A tenant's login and its bounds, as the server has them. */
export interface TenantRole {
  readonly tenantId: TenantId;
  readonly role: string;
  readonly resources: TenantResources;
}

/**
 * Login roles of single tenants, which bound what a tenant's statements may take of the server: connections,
 * time, memory and temporary files. PostgreSQL has no groups for CPU or disk bandwidth; these are what it has.
 *
 * A tenant's role may do what the application role may and nothing else. Its password is an HMAC of its name
 * under `secret`, so every process knows it and nobody stores it.
 */
export class TenantRoles {
  private name: Promise<string> | undefined;

  /**
   * @param secret at least 32 characters, the same in every process; another one makes the logins unusable
   * until {@link ensure} has run again.
   * @throws TenantRoleSecretInvalidError when the secret is shorter.
   */
  constructor(
    private readonly database: Database,
    private readonly secret: string,
  ) {
    if (secret.length < LEAST_SECRET_LENGTH) throw new TenantRoleSecretInvalidError(LEAST_SECRET_LENGTH);
  }

  /**
   * Creates the tenant's role, or brings it up to date. Bounds of memory and files hold for connections made
   * from then on.
   * @throws TenantResourcesInvalidError naming every wrong field.
   * @throws TenantRolePrivilegeError when the login may not create roles or limit temporary files.
   */
  async ensure(tenantId: TenantId, resources: TenantResourcesInput = {}): Promise<TenantRole> {
    const parsed = tenantResourcesSchema.safeParse(resources);
    if (!parsed.success)
      throw new TenantResourcesInvalidError(
        parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'resources'}: ${message}`),
      );
    const { connections, statementTimeoutMs, workMemKb, tempFileLimitKb } = parsed.data;
    const settings = {
      statement_timeout: `${statementTimeoutMs}ms`,
      work_mem: `${workMemKb}kB`,
      temp_file_limit: `${tempFileLimitKb}kB`,
    };
    const { role, password } = await this.credentials(tenantId);
    await this.change(async (query) => {
      await query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [role]);
      const [existing] = await query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
      if (!existing) await query(`CREATE ROLE ${role} LOGIN NOSUPERUSER IN ROLE ${APPLICATION_ROLE}`);
      await query(
        `ALTER ROLE ${role} LOGIN CONNECTION LIMIT ${connections} PASSWORD '${scramVerifier(password)}'`,
      );
      for (const [name, value] of Object.entries(settings))
        await query(`ALTER ROLE ${role} SET ${name} = '${value}'`);
      await query(`COMMENT ON ROLE ${role} IS ${literal(await this.commentOf(tenantId))}`);
    });
    return { tenantId, role, resources: parsed.data };
  }

  /** Removes the tenant's role; its open connections end when they are given back. No role: nothing happens. */
  async remove(tenantId: TenantId): Promise<void> {
    const { role } = await this.credentials(tenantId);
    await this.change((query) => query(`DROP ROLE IF EXISTS ${role}`));
  }

  /** The roles of this database's tenants, by tenant. */
  async list(): Promise<TenantRole[]> {
    const prefix = await this.commentPrefix();
    const rows = await this.database.asSystem((tx) =>
      tx.query<{ role: string; comment: string; connections: number; config: string[] }>(
        `SELECT rolname AS role, shobj_description(oid, 'pg_authid') AS comment,
           rolconnlimit AS connections, COALESCE(rolconfig, '{}') AS config
         FROM pg_roles
         WHERE rolname LIKE 'sparkle\\_t\\_%' AND starts_with(shobj_description(oid, 'pg_authid'), $1)
         ORDER BY 2`,
        [prefix],
      ),
    );
    return rows.map(({ role, comment, connections, config }) => ({
      tenantId: parseTenantId(comment.slice(prefix.length)),
      role,
      resources: { connections, ...settingsOf(config) },
    }));
  }

  /** The login of a tenant, whether it exists or not. */
  async credentials(tenantId: TenantId): Promise<{ role: string; password: string }> {
    const name = `${await this.databaseName()}\n${tenantId}`;
    const role = `sparkle_t_${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
    return { role, password: createHmac('sha256', this.secret).update(name).digest('base64url') };
  }

  private async commentPrefix(): Promise<string> {
    return `Sparkle, database ${await this.databaseName()}, tenant `;
  }

  private async commentOf(tenantId: TenantId): Promise<string> {
    return (await this.commentPrefix()) + tenantId;
  }

  /** Roles belong to the whole server: the names of two databases' tenants must not meet. */
  private databaseName(): Promise<string> {
    this.name ??= this.database
      .asSystem((tx) => tx.query<{ name: string }>('SELECT current_database() AS name'))
      .then(([row]) => row!.name);
    // Asked again after a failure.
    this.name.catch(() => {
      this.name = undefined;
    });
    return this.name;
  }

  private async change(
    work: (query: (text: string, parameters?: readonly unknown[]) => Promise<object[]>) => Promise<unknown>,
  ): Promise<void> {
    try {
      await this.database.asSystem((tx) => work((text, parameters) => tx.query(text, parameters)));
    } catch (error) {
      if (errorCode(error) === INSUFFICIENT_PRIVILEGE) throw new TenantRolePrivilegeError({ cause: error });
      throw error;
    }
  }
}

const UNITS: Readonly<Record<string, number>> = { kB: 1, MB: 1024, GB: 1024 ** 2, TB: 1024 ** 3 };

/** An operator may have changed a setting by hand, in whatever unit; what is absent has its default. */
function settingsOf(config: readonly string[]): Omit<TenantResources, 'connections'> {
  const values = new Map(config.map((entry) => entry.split('=', 2) as [string, string]));
  const kilobytes = (name: string, otherwise: number) => {
    const [, number, unit] = /^(\d+)\s*([kMGT]B)?$/.exec(values.get(name) ?? '') ?? [];
    return number === undefined ? otherwise : Number(number) * (UNITS[unit ?? 'kB'] ?? 1);
  };
  const [, timeout, unit] = /^(\d+)\s*(ms|s|min)?$/.exec(values.get('statement_timeout') ?? '') ?? [];
  const factor = unit === 's' ? 1000 : unit === 'min' ? 60_000 : 1;
  const defaults = tenantResourcesSchema.parse({});
  return {
    statementTimeoutMs: timeout === undefined ? defaults.statementTimeoutMs : Number(timeout) * factor,
    workMemKb: kilobytes('work_mem', defaults.workMemKb),
    tempFileLimitKb: kilobytes('temp_file_limit', defaults.tempFileLimitKb),
  };
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
