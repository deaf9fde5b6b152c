import { Inject, Injectable } from '@nestjs/common';
import type { SqlClient } from '@sparkle/contracts';
import { errorCode } from '../core/connection-failure.js';
import { Database } from '../core/database.service.js';
import { withoutLiterals } from './slow-queries.text.js';

export interface SlowQueryReportOptions {
  /** Statements listed, 1 to 1000. Default 20. */
  limit?: number;
  /** `total`: what costs the server most. `mean`: what one caller waits for longest. Default `total`. */
  by?: 'total' | 'mean';
  /** Statements called less often are left out. Default 1. */
  minCalls?: number;
}

/** One statement of this database, summed over all its calls. */
export interface SlowQuery {
  /** As `pg_stat_statements` names it, for use in SQL. */
  readonly id: string;
  /** Its text with `$1` or `?` in the place of every value, without comments. */
  readonly text: string;
  readonly role: string;
  readonly calls: number;
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly rowsPerCall: number;
  /** Share of its blocks that were in shared memory, 0 to 1; `undefined` when it touched none. */
  readonly hitRatio: number | undefined;
  /** Blocks spilled to temporary files because `work_mem` was too small. */
  readonly temporaryBlocks: number;
}

export type SlowQueryResult =
  | {
      readonly installed: true;
      /** When counting began. */
      readonly since: Date | undefined;
      readonly queries: readonly SlowQuery[];
      /** Statements of other roles that this login may not see; granting it `pg_read_all_stats` shows them. */
      readonly hidden: number;
    }
  | {
      readonly installed: false;
      /** The module is not on the server, its extension not in this database, or its library not loaded. */
      readonly reason: 'not-available' | 'not-created' | 'not-loaded';
      /** What an administrator does about it. */
      readonly remedy: string;
    };

const NOT_LOADED = '55000';
const PRELOAD =
  "set shared_preload_libraries = 'pg_stat_statements' in postgresql.conf and restart PostgreSQL";
const REMEDIES = {
  'not-available': `Install PostgreSQL's contrib modules (on Debian they are part of the package postgresql), ${PRELOAD}, and run as a superuser: CREATE EXTENSION pg_stat_statements`,
  'not-created': `As a superuser run: CREATE EXTENSION pg_stat_statements; and ${PRELOAD}, if that was not done`,
  'not-loaded': `As an administrator ${PRELOAD}`,
} as const;

/** Which statements cost most, from `pg_stat_statements` where that is installed. */
@Injectable()
export class SlowQueryReport {
  constructor(@Inject(Database) private readonly database: Pick<Database, 'asSystem'>) {}

  /** The most expensive statements of this database, the worst first. Never contains a value of a query. */
  async top(options: SlowQueryReportOptions = {}): Promise<SlowQueryResult> {
    const limit = Math.min(1000, Math.max(1, Math.trunc(options.limit ?? 20)));
    try {
      return await this.database.asSystem(async (sql) => {
        const schema = await extensionSchema(sql);
        if (schema.reason)
          return { installed: false, reason: schema.reason, remedy: REMEDIES[schema.reason] };
        return read(sql, schema.name, options.by ?? 'total', options.minCalls ?? 1, limit);
      });
    } catch (error) {
      if (errorCode(error) !== NOT_LOADED) throw error;
      return { installed: false, reason: 'not-loaded', remedy: REMEDIES['not-loaded'] };
    }
  }
}

async function extensionSchema(
  sql: SqlClient,
): Promise<{ name: string; reason?: never } | { reason: 'not-available' | 'not-created' }> {
  const [found] = await sql.query<{ schema: string | null; available: boolean }>(
    `SELECT (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
             WHERE e.extname = 'pg_stat_statements') AS schema,
            EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') AS available`,
  );
  if (found!.schema) return { name: found!.schema };
  return { reason: found!.available ? 'not-created' : 'not-available' };
}

async function read(
  sql: SqlClient,
  schema: string,
  by: 'total' | 'mean',
  minCalls: number,
  limit: number,
): Promise<SlowQueryResult> {
  const view = `${schema}.pg_stat_statements`;
  const [info] = await sql.query<{ since: Date | null }>(
    `SELECT stats_reset AS since FROM ${schema}.pg_stat_statements_info`,
  );
  const [other] = await sql.query<{ hidden: number }>(
    `SELECT count(*)::int AS hidden FROM ${view}
     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NULL`,
  );
  const rows = await sql.query<Record<string, number> & { id: string; text: string; role: string }>(
    `SELECT queryid::text AS id, query AS text, coalesce(rolname, userid::text) AS role, calls::float8 AS calls,
            total_exec_time AS total, mean_exec_time AS mean, max_exec_time AS max, rows::float8 AS rows,
            shared_blks_hit::float8 AS hit, shared_blks_read::float8 AS read, temp_blks_written::float8 AS temporary
     FROM ${view} LEFT JOIN pg_roles ON pg_roles.oid = userid
     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND queryid IS NOT NULL AND calls >= $1
     ORDER BY ${by === 'mean' ? 'mean_exec_time' : 'total_exec_time'} DESC, queryid
     LIMIT $2`,
    [minCalls, limit],
  );
  return {
    installed: true,
    since: info?.since ?? undefined,
    hidden: other!.hidden,
    queries: rows.map((row) => ({
      id: row.id,
      text: withoutLiterals(row.text),
      role: row.role,
      calls: row.calls!,
      totalMs: row.total!,
      meanMs: row.mean!,
      maxMs: row.max!,
      rowsPerCall: row.rows! / row.calls!,
      hitRatio: row.hit! + row.read! > 0 ? row.hit! / (row.hit! + row.read!) : undefined,
      temporaryBlocks: row.temporary!,
    })),
  };
}
