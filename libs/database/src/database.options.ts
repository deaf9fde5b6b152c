import { z } from 'zod';
import { DatabaseOptionsInvalidError } from './errors.js';

const milliseconds = z.number().int().positive();

const poolSchema = z.strictObject({
  /** Connections kept open once they have been needed. Default 20. */
  size: z.number().int().min(1).max(1000).default(20),
  /** Connections opened above `size` under load and closed when idle for 10 s. Default 10; 0 means none. */
  overflow: z.number().int().min(0).max(1000).default(10),
  /** How long a caller waits for a free connection. Default 30 s. */
  acquireTimeoutMs: milliseconds.default(30_000),
  /** Age at which a connection is replaced once it is free. Default 3600 s. */
  recycleMs: milliseconds.min(1000).default(3_600_000),
  /** How long opening one connection may take. Default 10 s. */
  connectTimeoutMs: milliseconds.default(10_000),
  /** Server-side limit of one statement. Default 30 s. PGlite ignores it. */
  statementTimeoutMs: milliseconds.default(30_000),
  /** A connection held longer than this is reported with the holder's origin. Default 5 s. */
  heldWarningMs: milliseconds.default(5_000),
});

const databaseOptionsSchema = z.strictObject({
  /** `postgres://user:password@host:port/database`. */
  url: z.string().refine((value) => {
    try {
      return ['postgres:', 'postgresql:'].includes(new URL(value).protocol);
    } catch {
      return false;
    }
  }, 'must be a postgres:// URL'),
  pool: poolSchema.prefault({}),
  /** Refuse to start as a role that bypasses row-level security. Default false; set it in production. */
  requireUnprivileged: z.boolean().default(false),
  /**
   * At least 32 characters, the same in every process: gives tenants that have a database role of their own (see
   * `TenantRoles`) connections as that role. Default: none, all tenants share the pool.
   */
  tenantRoleSecret: z.string().min(32).optional(),
  /** Shown in `pg_stat_activity`. Default "sparkle". */
  applicationName: z.string().min(1).max(63).default('sparkle'),
});

/** What `DatabaseModule.forRoot` takes; everything but `url` has a default. */
export type DatabaseOptions = z.input<typeof databaseOptionsSchema>;

/** {@link DatabaseOptions} with every default filled in. */
export type ResolvedDatabaseOptions = z.output<typeof databaseOptionsSchema>;

/** {@link DatabaseOptions} `pool` with every default filled in. */
export type PoolOptions = ResolvedDatabaseOptions['pool'];

/**
 * Checks options and fills in defaults.
 * @throws DatabaseOptionsInvalidError naming every wrong path at once.
 */
export function parseDatabaseOptions(options: unknown): ResolvedDatabaseOptions {
  const result = databaseOptionsSchema.safeParse(options);
  if (result.success) return result.data;
  throw new DatabaseOptionsInvalidError(
    result.error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`),
  );
}
