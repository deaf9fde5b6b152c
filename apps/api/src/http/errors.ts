import { SparkleError } from '@sparkle/contracts';

/** One thing wrong with a request: where, and what is allowed there. */
export interface RequestIssue {
  readonly path: string;
  readonly message: string;
}

/** A body, parameter or header that is not what the route takes. */
export class RequestInvalidError extends SparkleError {
  readonly code = 'REQUEST_INVALID';

  constructor(
    readonly issues: readonly RequestIssue[],
    message = 'The request is not valid.',
  ) {
    super(message);
  }
}

/** A body that is not JSON. */
export class JsonMalformedError extends SparkleError {
  readonly code = 'JSON_MALFORMED';

  constructor() {
    super('The body is not valid JSON.');
  }
}

/** JSON nested deeper than anything this API takes. */
export class JsonTooDeepError extends SparkleError {
  readonly code = 'JSON_TOO_DEEP';

  constructor(readonly maximum: number) {
    super(`The body is nested more than ${maximum} levels deep.`);
  }
}

/** A content type the route does not take. */
export class MediaTypeUnsupportedError extends SparkleError {
  readonly code = 'MEDIA_TYPE_UNSUPPORTED';

  constructor(readonly allowed: readonly string[]) {
    super(`The content type is not supported here. Allowed: ${allowed.join(', ')}.`);
  }
}

/** A body over the limit. */
export class BodyTooLargeError extends SparkleError {
  readonly code = 'BODY_TOO_LARGE';

  constructor() {
    super('The body is larger than this route takes.');
  }
}

/** No route, or nothing at it that the caller may see. */
export class NotFoundError extends SparkleError {
  readonly code = 'NOT_FOUND';

  constructor(what = 'The resource') {
    super(`${what} does not exist.`);
  }
}

/** The WebSocket's address was asked for without a handshake of RFC 6455. */
export class UpgradeRequiredError extends SparkleError {
  readonly code = 'UPGRADE_REQUIRED';

  constructor() {
    super('This address speaks WebSocket, version 13: open it with a WebSocket client.');
  }
}

/** A browser's page from a place that may not open connections. */
export class OriginForbiddenError extends SparkleError {
  readonly code = 'ORIGIN_FORBIDDEN';

  constructor() {
    super('Pages of this origin may not open connections here.');
  }
}

/** A tenant has as many connections to this process as one tenant may have. */
export class ConnectionLimitError extends SparkleError {
  readonly code = 'CONNECTION_LIMIT_REACHED';

  constructor(
    readonly limit: number,
    readonly retryAfterMs: number,
  ) {
    super(`Your tenant has ${limit} connections here already; close some, or try again later.`);
  }
}

/** A connection has as many requests under way as one connection may have. */
export class ConnectionBusyError extends SparkleError {
  readonly code = 'CONNECTION_BUSY';

  constructor(readonly limit: number) {
    super(`${limit} requests are under way on this connection; wait for one to end, or cancel one.`);
  }
}

/** The process is shutting down and takes nothing new. */
export class ServerClosingError extends SparkleError {
  readonly code = 'SERVER_CLOSING';
  readonly retryAfterMs = 1_000;

  constructor() {
    super('This server is shutting down; connect again, and another one answers.');
  }
}

/** The client took its request back. */
export class RequestCancelledError extends SparkleError {
  readonly code = 'REQUEST_CANCELLED';

  constructor() {
    super('The request was cancelled by its client.');
  }
}

/** A request that names its user names another one than its token does. */
export class UserMismatchError extends SparkleError {
  readonly code = 'USER_MISMATCH';

  constructor() {
    super('The user of the request is not the user of the access token.');
  }
}

/** The start cannot go on: the port of gRPC cannot be listened on. */
export class GrpcListenError extends SparkleError {
  readonly code = 'GRPC_LISTEN_FAILED';

  constructor(
    readonly address: string,
    options: { cause: unknown },
  ) {
    super(
      `gRPC cannot listen on ${address}. Free it, or set SPARKLE_GRPC_PORT to another port or to off.`,
      options,
    );
  }
}
