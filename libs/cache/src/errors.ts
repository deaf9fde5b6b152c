import { SparkleError } from '@sparkle/contracts';

/** Base of every error `@sparkle/cache` throws on purpose. */
export abstract class CacheError extends SparkleError {}

/** A module, namespace or call was configured with something it does not accept. */
export class CacheOptionsInvalidError extends CacheError {
  readonly code = 'CACHE_OPTIONS_INVALID';

  /** @param problems one line per wrong path; never the values themselves. */
  constructor(readonly problems: readonly string[]) {
    super(`The cache options are invalid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/** A key, tag or namespace is not one. */
export class CacheKeyInvalidError extends CacheError {
  readonly code = 'CACHE_KEY_INVALID';
}

/** A value cannot be written down without losing what it is. */
export class ValueNotSerializableError extends CacheError {
  readonly code = 'CACHE_VALUE_NOT_SERIALIZABLE';

  /** @param path where in the value, e.g. `$.user.callback`. */
  constructor(
    readonly path: string,
    what: string,
  ) {
    super(
      `The value at ${path} is ${what} and cannot be cached. Allowed are JSON values, undefined, NaN, bigint, ` +
        'Date, Map, Set, Buffer, typed arrays and objects with toJSON().',
    );
  }
}

/** A stored text is not an encoded value: it was written by something else, or cut. */
export class StoredValueCorruptError extends CacheError {
  readonly code = 'CACHE_STORED_VALUE_CORRUPT';

  constructor(options?: { cause?: unknown }) {
    super('A stored cache value could not be read.', options);
  }
}

/**
 * Everyone who waited for a load has left, and it was stopped. A loader that throws this fails nobody else: it is not
 * kept as a failure, and whoever waits in another process loads in its place.
 */
export class LoadAbandonedError extends CacheError {
  readonly code = 'CACHE_LOAD_ABANDONED';

  constructor() {
    super('The load was stopped: nobody waits for it any more.');
  }
}

/** The loader ran longer than `hardTimeoutMs`. Its late result is dropped. */
export class LoaderTimeoutError extends CacheError {
  readonly code = 'CACHE_LOADER_TIMEOUT';

  constructor(readonly timeoutMs: number) {
    super(`The loader did not finish within ${timeoutMs} ms.`);
  }
}

/** The loader failed in another process while this one was waiting for its result. */
export class LoaderFailedElsewhereError extends CacheError {
  readonly code = 'CACHE_LOADER_FAILED_ELSEWHERE';

  /** @param reason name and message of the original error, shortened. */
  constructor(readonly reason: string) {
    super(`The loader failed in the process that was rebuilding this entry: ${reason}`);
  }
}

/** The second tier did not do what it was asked. The cache itself goes on without it. */
export class CacheStoreError extends CacheError {
  readonly code: string = 'CACHE_STORE_FAILED';
}

/** The second tier did not answer within its budget. */
export class CacheStoreTimeoutError extends CacheStoreError {
  override readonly code = 'CACHE_STORE_TIMEOUT';

  constructor(readonly budgetMs: number) {
    super(`The cache store did not answer within ${budgetMs} ms.`);
  }
}

/** The second tier is being left alone after repeated failures. */
export class CacheStoreOpenError extends CacheStoreError {
  override readonly code = 'CACHE_STORE_BREAKER_OPEN';

  constructor() {
    super('The cache store failed repeatedly and is not being asked until it answers a probe.');
  }
}

/** A semantic cache scope, question or embedding is not usable. */
export class SemanticInputInvalidError extends CacheError {
  readonly code = 'SEMANTIC_INPUT_INVALID';
}

/** `reportBadHit` named an entry that does not exist (any more). */
export class SemanticEntryNotFoundError extends CacheError {
  readonly code = 'SEMANTIC_ENTRY_NOT_FOUND';

  constructor() {
    super('There is no such semantic cache entry.');
  }
}

/** A file of evaluation data is not there. */
export class EvaluationDataMissingError extends CacheError {
  readonly code = 'EVALUATION_DATA_MISSING';

  constructor(readonly path: string) {
    super(`There is no ${path}: name the folder of evaluation data.`);
  }
}
