import { isSparkleError } from '@sparkle/contracts';

const IDENTIFIER = /^[A-Za-z_]\w{0,63}$/;

/** A Sparkle error's code, or else the error's class; never its message, which may hold content. */
export function errorTypeOf(error: unknown): string {
  const type = isSparkleError(error) ? error.code : error instanceof Error ? error.name : '';
  return IDENTIFIER.test(type) ? type : 'unknown';
}
