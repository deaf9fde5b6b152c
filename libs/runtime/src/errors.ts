import { SparkleError } from '@sparkle/contracts';

/** Base of the errors of `@sparkle/runtime`. */
export abstract class RuntimeError extends SparkleError {}

/** The environment does not describe a valid configuration; `problems` names each variable and what it takes. */
export class ConfigurationInvalidError extends RuntimeError {
  readonly code = 'CONFIGURATION_INVALID';

  constructor(readonly problems: readonly string[]) {
    super(`The configuration is not valid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/** Redis does not answer at start. The address is named without credentials. */
export class RedisUnreachableError extends RuntimeError {
  readonly code = 'REDIS_UNREACHABLE';

  constructor(
    readonly address: string,
    options: { cause: unknown },
  ) {
    super(`Redis at ${address} does not answer. Check REDIS_URL and that the server is running.`, options);
  }
}

/** A request came without a bearer token. */
export class TokenMissingError extends RuntimeError {
  readonly code = 'TOKEN_MISSING';

  constructor() {
    super('This needs an access token in the header "Authorization: Bearer …".');
  }
}

/** A token that is malformed, forged, not meant for this service, or lacks a claim. */
export class TokenInvalidError extends RuntimeError {
  readonly code = 'TOKEN_INVALID';

  constructor(options?: { cause: unknown }) {
    super('The access token is not valid for this service.', options);
  }
}

/** A genuine token whose time is over. */
export class TokenExpiredError extends RuntimeError {
  readonly code = 'TOKEN_EXPIRED';

  constructor() {
    super('The access token has expired.');
  }
}

/** A genuine token without a scope the operation needs. */
export class ScopeMissingError extends RuntimeError {
  readonly code = 'SCOPE_MISSING';

  constructor(readonly scope: string) {
    super(`This needs a token with the scope "${scope}".`);
  }
}

/** There is no such dead letter, or it is another tenant's. */
export class DeadLetterNotFoundError extends RuntimeError {
  readonly code = 'DEAD_LETTER_NOT_FOUND';

  constructor() {
    super('There is no such dead letter.');
  }
}
