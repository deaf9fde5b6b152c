import { z } from 'zod';
import { DatabaseOptionsInvalidError } from './errors.js';

const milliseconds = z.number().int().positive();

const poolSchema = z.strictObject({
  /** Connections kept open once they have been needed. Default 20. */
  size: z.number().int().min(1).max(1000).default(20),
  /** Connections opened above `size` under load and closed when idle for `overflowIdleMs`. Default 10; 0 means none. */
  overflow: z.number().int().min(0).max(1000).default(10),
  /** Idle time after which a connection above `size` is closed. Default 10 s. */
  overflowIdleMs: milliseconds.default(10_000),
  /** How long a caller waits for a connection that works. Default 30 s. */
  acquireTimeoutMs: milliseconds.default(30_000),
  /** Age at which a connection is replaced once it is free. Default 3600 s. */
  recycleMs: milliseconds.min(1000).default(3_600_000),
  /** How long opening one connection may take. Default 10 s. */
  connectTimeoutMs: milliseconds.default(10_000),
  /**
   * How long a pooled connection may take to answer BEGIN before it is taken for dead and another one is tried.
   * Default 5 s. On PGlite, and behind a pooler that lets BEGIN wait for its turn: as long as `acquireTimeoutMs`.
   */
  livenessTimeoutMs: milliseconds.default(5_000),
  /** Server-side limit of one statement. Default 30 s. PGlite ignores it. */
  statementTimeoutMs: milliseconds.default(30_000),
  /**
   * A connection from which nothing has come for this long after `statementTimeoutMs` is cut: the server would
   * have stopped the statement, so it stands still or cannot be reached. Default 5 s.
   */
  answerGraceMs: milliseconds.default(5_000),
  /** A connection held longer than this is reported with the holder's origin. Default 5 s. */
  heldWarningMs: milliseconds.default(5_000),
  /** Share of `size + overflow` in use above which a warning names the holders. Default 0.8; 1 means never. */
  saturationWarningRatio: z.number().min(0.1).max(1).default(0.8),
});

const postgresUrl = z.string().refine((value) => {
  try {
    return ['postgres:', 'postgresql:'].includes(new URL(value).protocol);
  } catch {
    return false;
  }
}, 'must be a postgres:// URL');

const replicaSchema = z.strictObject({
  /** `postgres://user:password@host:port/database` of a hot standby. */
  url: postgresUrl,
  /** Names it in metrics and warnings. Default `replica-1`, `replica-2`, … */
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9, "-" and "_"')
    .optional(),
  /** Reads that need recent data go to the primary while the replica is further behind. Default 1 s. */
  maxLagMs: milliseconds.default(1_000),
  /** Longest that the replica may take to hand out a transaction; then the primary serves. Default 500 ms. */
  askTimeoutMs: milliseconds.default(500),
  /** How long a replica that failed is left alone. Default 5 s. */
  restMs: milliseconds.default(5_000),
});

const studyRecordsSchema = z.strictObject({
  /** Monthly partitions made ahead of time, this month not counted. Default 3. */
  monthsAhead: z.number().int().min(0).max(120).default(3),
  /** Months kept besides the current one; older ones are archived and dropped. Default: all are kept. */
  keepMonths: z.number().int().min(1).max(1200).optional(),
  /** Folder for archived months, unless the application provides an `ArchiveStore`. Needed with `keepMonths`. */
  archiveFolder: z.string().min(1).optional(),
});

const databaseOptionsSchema = z.strictObject({
  /** `postgres://user:password@host:port/database`. */
  url: postgresUrl,
  pool: poolSchema.prefault({}),
  /** Refuse to start as a role that bypasses row-level security. Default false; set it in production. */
  requireUnprivileged: z.boolean().default(false),
  /**
   * At least 32 characters, the same in every process: gives tenants that have a database role of their own (see
   * `TenantRoles`) connections as that role. Default: none, all tenants share the pool.
   */
  tenantRoleSecret: z.string().min(32).optional(),
  /** Hot standbys that `Database.readTenant` may read from. Default none. Not with PGlite. */
  replicas: z.array(replicaSchema).max(16).default([]),
  /**
   * Warns, with the callers, when one request sends statements of one shape again and again. Costs a look at each
   * statement's text: for development and tests. Default false.
   */
  detectRepeatedQueries: z.boolean().default(false),
  /** How many statements of one shape in one request are one too many. Default 5. */
  repeatedQueryThreshold: z.number().int().min(2).max(1000).default(5),
  /** Partitions and retention of `study_records`. */
  studyRecords: studyRecordsSchema.prefault({}),
  /** Shown in `pg_stat_activity`. Default "sparkle". */
  applicationName: z.string().min(1).max(63).default('sparkle'),
});

/** What `DatabaseModule.forRoot` takes; everything but `url` has a default. */
export type DatabaseOptions = z.input<typeof databaseOptionsSchema>;

/** {@link DatabaseOptions} with every default filled in. */
export type ResolvedDatabaseOptions = z.output<typeof databaseOptionsSchema>;

/** One of {@link DatabaseOptions} `replicas` with every default filled in. */
export type ReplicaOptions = ResolvedDatabaseOptions['replicas'][number];

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
