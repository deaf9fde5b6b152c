import { type ParseArgsConfig, parseArgs } from 'node:util';
import { isSparkleError } from '@sparkle/contracts';

/** A command called with the wrong words; the message is its usage. */
export class UsageError extends Error {}

/** Runs a command of this package: a foreseen failure is a sentence, wrong words are the usage with status 2. */
export async function runCommand(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof UsageError || isSparkleError(error)) process.stderr.write(`${error.message}\n`);
    else process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/**
 * Reads a command's options.
 * @throws UsageError for options it does not have.
 */
export function readOptions<Options extends NonNullable<ParseArgsConfig['options']>>(usage: string, options: Options) {
  try {
    return parseArgs({ args: process.argv.slice(2), options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nusage: ${usage}`);
  }
}
