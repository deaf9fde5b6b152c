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

/** What a command was called with. */
export interface CommandWords<Options extends NonNullable<ParseArgsConfig['options']>> {
  readonly values: ReturnType<typeof parseArgs<{ options: Options }>>['values'];
  readonly positionals: readonly string[];
}

/**
 * Reads a command's options.
 * @throws UsageError for options it does not have.
 */
export function readOptions<Options extends NonNullable<ParseArgsConfig['options']>>(
  usage: string,
  options: Options,
): CommandWords<Options> {
  try {
    const args = process.argv.slice(2);
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    return { values: values as CommandWords<Options>['values'], positionals };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nusage: ${usage}`);
  }
}
