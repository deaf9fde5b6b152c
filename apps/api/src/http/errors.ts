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
