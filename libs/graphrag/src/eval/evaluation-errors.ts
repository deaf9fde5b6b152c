import { GraphragError } from '../errors.js';

/** Thrown for a line of an evaluation file that is not what its format asks for. */
export class EvaluationDataInvalidError extends GraphragError {
  readonly code = 'EVALUATION_DATA_INVALID';

  constructor(
    readonly path: string,
    readonly line: number,
    readonly problems: readonly string[],
    options?: { cause?: unknown },
  ) {
    super(`${path} line ${line} is invalid: ${problems.join('; ')}`, options);
  }
}
