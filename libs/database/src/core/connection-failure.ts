import { DatabaseUnreachableError } from '../errors.js';

/** SQLSTATE or Node's error code, looked for through wrapped errors. */
export function errorCode(error: unknown): string | undefined {
  for (let current = error, depth = 0; isObject(current) && depth < 8; depth++) {
    if (typeof current.code === 'string' && !('driverError' in current)) return current.code;
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
  /^Connection terminated|^Client has encountered a connection error|connection is closed|^Client was closed/;

/** True when the connection itself failed, as opposed to a statement on it. */
export function isConnectionFailure(error: unknown): boolean {
  const code = errorCode(error);
  if (code)
    return (
      /^(ECONN|ENOTFOUND|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_|ENOENT)/.test(code) || /^(08|57P0[1-4])/.test(code)
    );
  return error instanceof Error && CONNECTION_LOST.test(error.message);
}

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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
