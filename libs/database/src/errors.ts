import { SparkleError } from '@sparkle/contracts';

/** Base of every error of `@sparkle/database`. */
export abstract class DatabaseError extends SparkleError {}

/** The module's options are wrong; every wrong path is named, no value is. */
export class DatabaseOptionsInvalidError extends DatabaseError {
  readonly code = 'DATABASE_OPTIONS_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The database options are not valid: ${problems.join('; ')}.`);
  }
}

/** No connection to the server could be made. The message names the server, never the password. */
export class DatabaseUnreachableError extends DatabaseError {
  readonly code = 'DATABASE_UNREACHABLE';

  constructor(server: string, reason: string, options?: { cause?: unknown }) {
    super(`Cannot connect to PostgreSQL at ${server}: ${reason}`, options);
  }
}

/** Every connection of the pool stayed in use for the whole acquire timeout. */
export class PoolTimeoutError extends DatabaseError {
  readonly code = 'DATABASE_POOL_TIMEOUT';

  constructor(acquireTimeoutMs: number, connections: number, options?: { cause?: unknown }) {
    super(
      `No database connection became free within ${acquireTimeoutMs} ms: all ${connections} are in use.`,
      options,
    );
  }
}

/** A scope for one tenant (or for the system) was opened inside a scope for another. */
export class NestedTenantError extends DatabaseError {
  readonly code = 'DATABASE_NESTED_TENANT';

  constructor() {
    super(
      'A transaction for one tenant is in progress; work for another tenant or for the system ' +
        'cannot run inside it. Finish the first one before starting the second.',
    );
  }
}

/** A transaction was used after it had ended. */
export class TransactionClosedError extends DatabaseError {
  readonly code = 'DATABASE_TRANSACTION_CLOSED';

  constructor() {
    super('This transaction has ended; statements must be awaited before its work returns.');
  }
}

/**
 * The work returned normally although one of its statements had failed, which makes PostgreSQL discard the
 * whole transaction. `cause` is the first failure.
 */
export class TransactionAbortedError extends DatabaseError {
  readonly code = 'DATABASE_TRANSACTION_ABORTED';

  constructor(options?: { cause?: unknown }) {
    super(
      'A failed statement was ignored, so the transaction could not be committed and was rolled back. ' +
        'Run a statement that may fail in a nested scope.',
      options,
    );
  }
}

/** The transaction is committed, but at least one after-commit hook failed; all hooks ran. */
export class AfterCommitError extends DatabaseError {
  readonly code = 'DATABASE_AFTER_COMMIT_FAILED';

  constructor(readonly failures: readonly unknown[]) {
    super(`The transaction was committed, but ${failures.length} of its after-commit hooks failed.`, {
      cause: failures[0],
    });
  }
}

/** The login may ignore row-level security, and the options forbid that. */
export class PrivilegedRoleError extends DatabaseError {
  readonly code = 'DATABASE_ROLE_PRIVILEGED';

  constructor(role: string, privilege: 'SUPERUSER' | 'BYPASSRLS') {
    super(
      `The database role "${role}" has ${privilege} and would bypass row-level security. ` +
        'Connect as a role without SUPERUSER and BYPASSRLS.',
    );
  }
}

/** The database lacks what this version of the library needs. */
export class SchemaNotMigratedError extends DatabaseError {
  readonly code = 'DATABASE_SCHEMA_NOT_MIGRATED';

  constructor(options?: { cause?: unknown }) {
    super('The database has no Sparkle schema. Run the migrations first.', options);
  }
}

/** The list of migrations itself is wrong. */
export class MigrationListInvalidError extends DatabaseError {
  readonly code = 'DATABASE_MIGRATIONS_INVALID';
}

/** A migration that was applied earlier has other statements now. */
export class MigrationChangedError extends DatabaseError {
  readonly code = 'DATABASE_MIGRATION_CHANGED';

  constructor(readonly migration: string) {
    super(`Migration "${migration}" was changed after it had been applied. Add a new migration instead.`);
  }
}

/** A migration failed and left nothing behind. */
export class MigrationFailedError extends DatabaseError {
  readonly code = 'DATABASE_MIGRATION_FAILED';

  constructor(
    readonly migration: string,
    reason: string,
    options?: { cause?: unknown },
  ) {
    super(`Migration "${migration}" failed and was rolled back: ${reason}`, options);
  }
}

/** The embedding model's dimension is not the one the stored embeddings have. */
export class EmbeddingDimensionsMismatchError extends DatabaseError {
  readonly code = 'EMBEDDING_DIMENSIONS_MISMATCH';

  constructor(
    readonly stored: number,
    readonly requested: number,
  ) {
    super(
      `The database stores embeddings of ${stored} dimensions, the configuration asks for ${requested}. ` +
        `Use an embedding model of ${stored} dimensions, or a new database.`,
    );
  }
}

/** An embedding dimension outside of what an HNSW index can hold. */
export class EmbeddingDimensionsInvalidError extends DatabaseError {
  readonly code = 'EMBEDDING_DIMENSIONS_INVALID';

  constructor() {
    super('Embedding dimensions must be a whole number from 1 to 2000.');
  }
}

/** A name that cannot be an SQL identifier here. */
export class IdentifierInvalidError extends DatabaseError {
  readonly code = 'DATABASE_IDENTIFIER_INVALID';

  constructor() {
    super('A table name is 1 to 63 characters of a-z, 0-9 and "_", starting with a letter.');
  }
}

/** The secret that tenants' passwords are made from is too short. */
export class TenantRoleSecretInvalidError extends DatabaseError {
  readonly code = 'DATABASE_TENANT_ROLE_SECRET_INVALID';

  constructor(least: number) {
    super(`The secret of tenants' database roles must have at least ${least} characters.`);
  }
}

/** Bounds of a tenant's role are wrong; every wrong field is named, no value is. */
export class TenantResourcesInvalidError extends DatabaseError {
  readonly code = 'DATABASE_TENANT_RESOURCES_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The tenant's resources are not valid: ${problems.join('; ')}.`);
  }
}

/** The login may not make tenants' roles, or not limit their temporary files. Nothing was changed. */
export class TenantRolePrivilegeError extends DatabaseError {
  readonly code = 'DATABASE_TENANT_ROLE_PRIVILEGE_MISSING';

  constructor(options?: { cause?: unknown }) {
    super(
      "Making a tenant's database role takes rights this login lacks. A superuser grants them with: " +
        'ALTER ROLE <login> CREATEROLE; GRANT SET ON PARAMETER temp_file_limit TO <login>.',
      options,
    );
  }
}

/** All connections a tenant may have were in use, in this process or in others, for the whole acquire timeout. */
export class TenantConnectionsExhaustedError extends DatabaseError {
  readonly code = 'DATABASE_TENANT_CONNECTIONS_EXHAUSTED';

  constructor(acquireTimeoutMs: number, options?: { cause?: unknown }) {
    super(
      `None of the database connections this tenant may have became free within ${acquireTimeoutMs} ms.`,
      options,
    );
  }
}

/**
 * The connection broke while work was going on, before COMMIT was sent. Nothing of the transaction was kept, and
 * running the work again is safe.
 */
export class ConnectionLostError extends DatabaseError {
  readonly code = 'DATABASE_CONNECTION_LOST';

  constructor(options?: { cause?: unknown }) {
    super(
      'The connection to the database was lost. The transaction was not committed and may be run again.',
      options,
    );
  }
}

/**
 * The server did not answer in time, so its connection was cut. Unless this is a
 * {@link CommitOutcomeUnknownError}, nothing of the transaction is kept.
 */
export class ServerSilentError extends DatabaseError {
  readonly code = 'DATABASE_NOT_RESPONDING';

  constructor(
    readonly silentMs: number,
    options?: { cause?: unknown },
  ) {
    super(`The database did not answer for ${silentMs} ms; the connection was given up.`, options);
  }
}

/**
 * The connection broke after COMMIT had been sent and before its answer came: the transaction is kept either
 * whole or not at all, and only its data can tell. Do not repeat work that is not idempotent without looking.
 */
export class CommitOutcomeUnknownError extends DatabaseError {
  readonly code = 'DATABASE_COMMIT_UNKNOWN';

  constructor(options?: { cause?: unknown }) {
    super(
      'The connection to the database was lost during COMMIT. The transaction is either kept as a whole or not ' +
        'at all; look for its effects before running it again.',
      options,
    );
  }
}

/** The server stopped a statement: it ran for longer than allowed, or an administrator cancelled it. */
export class StatementTimeoutError extends DatabaseError {
  readonly code = 'DATABASE_STATEMENT_TIMEOUT';

  constructor(options?: { cause?: unknown }) {
    super(
      'The database stopped a statement that took too long (or that an administrator cancelled).',
      options,
    );
  }
}

/** The server, or the role, had no connection left for the whole acquire timeout. */
export class TooManyConnectionsError extends DatabaseError {
  readonly code = 'DATABASE_TOO_MANY_CONNECTIONS';

  constructor(acquireTimeoutMs: number, options?: { cause?: unknown }) {
    super(
      `The database server refused further connections for ${acquireTimeoutMs} ms: its limit (max_connections, ` +
        "or the role's CONNECTION LIMIT) is reached.",
      options,
    );
  }
}

/** The server has no room to write: its disk, or that of a tablespace, is full. The transaction is undone. */
export class StorageFullError extends DatabaseError {
  readonly code = 'DATABASE_STORAGE_FULL';

  constructor(options?: { cause?: unknown }) {
    super(
      'The database server has no disk space left for this write; the transaction was rolled back.',
      options,
    );
  }
}

/** A statement needed more temporary disk space than `temp_file_limit` allows. */
export class TempFileLimitError extends DatabaseError {
  readonly code = 'DATABASE_TEMP_FILE_LIMIT';

  constructor(options?: { cause?: unknown }) {
    super('A statement needed more temporary disk space than the role may use (temp_file_limit).', options);
  }
}

/** A write in a transaction, or on a server, that may only read. Nothing was written. */
export class ReadOnlyTransactionError extends DatabaseError {
  readonly code = 'DATABASE_READ_ONLY';

  constructor(options?: { cause?: unknown }) {
    super('This transaction may only read: it was opened for reading, or the server is a standby.', options);
  }
}

/** Batched loading outside of a request and of a transaction: nothing would say when its results get old. */
export class LoaderScopeMissingError extends DatabaseError {
  readonly code = 'DATABASE_LOADER_SCOPE_MISSING';

  constructor() {
    super(
      'Batched loading needs a request (RequestScope.run) or a transaction to belong to; neither is there.',
    );
  }
}

/** A loader found no row for a key that has to have one. */
export class RecordMissingError extends DatabaseError {
  readonly code = 'DATABASE_RECORD_MISSING';

  constructor(readonly loader: string) {
    super(`The loader "${loader}" found nothing for the key it was asked for.`);
  }
}

/** The definition or the use of a loader is wrong. */
export class LoaderInvalidError extends DatabaseError {
  readonly code = 'DATABASE_LOADER_INVALID';
}

/** A position in the write-ahead log that is none. */
export class WalPositionInvalidError extends DatabaseError {
  readonly code = 'DATABASE_WAL_POSITION_INVALID';

  constructor() {
    super('A position in the write-ahead log is two hexadecimal numbers, as in 16/B374D848.');
  }
}
