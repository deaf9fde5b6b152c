import type { TenantId } from './tenant.js';

/** Runs SQL with `$1`-style parameters inside the transaction it was handed out for. */
export interface SqlClient {
  /** Rows of the statement's result, as objects by column name. */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
}

/** How a transaction runs. */
export interface TenantTransactionOptions {
  /** `REPEATABLE READ`: all its statements see one state. Default: the server's, usually `READ COMMITTED`. */
  readonly isolation?: 'REPEATABLE READ';
}

/**
 * A database whose every statement runs for exactly one tenant: one transaction, with the tenant set for
 * row-level security. Implemented by `@sparkle/database`; other libraries depend on this port only.
 */
export interface TenantDatabase {
  /** Runs `work` in one transaction: commits when it returns, rolls back when it throws. */
  withTenant<T>(
    tenantId: TenantId,
    work: (sql: SqlClient) => Promise<T>,
    options?: TenantTransactionOptions,
  ): Promise<T>;
}

/** Injection token of the {@link TenantDatabase} port. */
export const TenantDatabase = Symbol('TenantDatabase');

/**
 * A database whose statements see every tenant: for sweeps that look for lost or due work, and nothing that
 * serves a request. Implemented by `@sparkle/database`.
 */
export interface SystemDatabase {
  /** Runs `work` in one transaction: commits when it returns, rolls back when it throws. */
  asSystem<T>(work: (sql: SqlClient) => Promise<T>): Promise<T>;
}

/** Injection token of the {@link SystemDatabase} port. */
export const SystemDatabase = Symbol('SystemDatabase');

/** Statements that bring a schema one step forward. Applied once, in order of `name`, in one transaction. */
export interface SchemaMigration {
  /** `NNNN-what-it-does`; unique over all libraries an application assembles. */
  readonly name: string;
  readonly statements: readonly string[];
}
