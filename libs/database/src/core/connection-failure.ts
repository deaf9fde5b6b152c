import { isSparkleError } from '@sparkle/contracts';
import {
  ConnectionLostError,
  type DatabaseError,
  DatabaseUnreachableError,
  ReadOnlyTransactionError,
  StatementTimeoutError,
  StorageFullError,
  TempFileLimitError,
} from '../errors.js';

/** SQLSTATE or Node's error code, looked for through wrapped errors. */
export function errorCode(error: unknown): string | undefined {
  for (let current = error, depth = 0; isObject(current) && depth < 8; depth++) {
    if (typeof current.code === 'string' && !('driverError' in current) && !isSparkleError(current))
      return current.code;
    current = current.driverError ?? current.cause;
  }
  return undefined;
}

/** True when the server asks to run the transaction again: serialization failure or deadlock. */
export function isRetryable(error: unknown): boolean {
  for (let current = error, depth = 0; isObject(current) && depth < 8; depth++) {
    if (current.code === '40001' || current.code === '40P01') return true;
    current = current.driverError ?? current.cause;
  }
  return false;
}

const CONNECTION_LOST =
  /^Connection terminated|^Client has encountered a connection error|connection is closed|^Client was closed|^Query runner already released|^timeout expired/;

/** True when the connection itself failed, as opposed to a statement on it. */
export function isConnectionFailure(error: unknown): boolean {
  const code = errorCode(error);
  if (code)
    return (
      /^(ECONN|ENOTFOUND|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_|ENOENT)/.test(code) || /^(08|57P0[1-5])/.test(code)
    );
  return rootMessages(error).some((message) => CONNECTION_LOST.test(message));
}

/** The refusal of the server, or of the role, to take one more connection. */
export function isConnectionLimit(error: unknown): boolean {
  return errorCode(error) === '53300';
}

/**
 * The failure of a statement as one of this library's errors where the reason is the connection or the state of
 * the server. A mistake in the statement or its data stays what it is.
 */
export function toStatementError(error: unknown): unknown {
  if (isSparkleError(error)) return error;
  if (isConnectionFailure(error)) return new ConnectionLostError({ cause: error });
  const make = byState(errorCode(error), error);
  return make ? make({ cause: error }) : error;
}

function byState(
  code: string | undefined,
  error: unknown,
): ((options: { cause: unknown }) => DatabaseError) | undefined {
  switch (code) {
    case '57014':
      return (options) => new StatementTimeoutError(options);
    case '53100':
      return (options) => new StorageFullError(options);
    case '53400':
      return (options) => new TempFileLimitError(options);
    case '25006':
      return (options) => new ReadOnlyTransactionError(options);
    default:
      // PostgreSQL has no SQLSTATE for a file that may not grow (EFBIG), as under a quota or ulimit.
      if (code && /^(XX000|58030)$/.test(code) && rootMessages(error).some((text) => CANNOT_GROW.test(text)))
        return (options) => new StorageFullError(options);
      return undefined;
  }
}

const CANNOT_GROW = /could not (extend|write)/;

/** The failure to connect to `url`, described without its password. */
export function toUnreachableError(url: string, error: unknown): DatabaseUnreachableError {
  const message = error instanceof Error ? error.message || errorCode(error) : String(error);
  return new DatabaseUnreachableError(describeServer(url), `${message ?? 'unknown reason'}.`, {
    cause: error,
  });
}

/** `host:port/database as user`, nothing else of the URL. */
export function describeServer(url: string): string {
  const { hostname, port, pathname, username } = new URL(url);
  const user = username ? ` as ${decodeURIComponent(username)}` : '';
  return `${hostname || 'localhost'}:${port || 5432}${pathname}${user}`;
}

/** The messages of an error and of what it wraps. */
function rootMessages(error: unknown): string[] {
  const messages: string[] = [];
  for (let current = error, depth = 0; isObject(current) && depth < 8; depth++) {
    if (typeof current.message === 'string') messages.push(current.message);
    current = current.driverError ?? current.cause;
  }
  return messages;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
