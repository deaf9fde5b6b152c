import { isSparkleError } from '@sparkle/contracts';

/** A started application, as its process needs it. */
export interface RunningApplication {
  /** What is printed once it is ready. */
  readonly readyLine: string;
  /** Settles when the application cannot go on; its process then ends with status 1. */
  readonly failed?: Promise<Error>;
  /** Ends everything it started, after the work under way. */
  close(): Promise<void>;
}

const SHUTDOWN_DEADLINE_MS = 9_000;

/**
 * Runs an application as this process: prints its ready line, ends it in order upon SIGTERM or SIGINT (a second
 * signal ends it at once), and explains a failed start in a sentence with exit status 1.
 * @param deadlineMs after a signal the process ends within this time even when something hangs, be it the start;
 * default 9,000.
 */
export async function runProcess(
  start: () => Promise<RunningApplication>,
  deadlineMs: number = SHUTDOWN_DEADLINE_MS,
): Promise<void> {
  let stopping: NodeJS.Signals | undefined;
  let application: RunningApplication | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    if (stopping) process.exit(1);
    stopping = signal;
    setTimeout(() => {
      process.stderr.write(`sparkle: not everything ended within ${deadlineMs / 1000} s\n`);
      process.exit(1);
    }, deadlineMs).unref();
    if (!application) return;
    try {
      await application.close();
      process.exit(0);
    } catch (error) {
      process.stderr.write(`${explain(error)}\n`);
      process.exit(1);
    }
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  try {
    application = await start();
    if (stopping) {
      await application.close();
      process.exit(0);
    }
    process.stdout.write(`${application.readyLine}\n`);
    void application.failed?.then((error) => {
      process.stderr.write(`${explain(error)}\n`);
      process.exit(1);
    });
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

/** Why a port cannot be listened on, and what to do about it. */
const LISTEN_REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another process listens there; set PORT.',
  EACCES: 'This user may not use it; set PORT to 1024 or above.',
  EADDRNOTAVAIL: 'This machine has no such address; set HOST.',
  ENOTFOUND: 'This machine has no such address; set HOST.',
};

/** One sentence for failures that were foreseen; everything else keeps its stack, for it is a defect. */
function explain(error: unknown): string {
  if (isSparkleError(error)) return `sparkle: ${error.message}`;
  if (error instanceof Error && 'syscall' in error) {
    const remedy = LISTEN_REMEDIES[(error as NodeJS.ErrnoException).code ?? ''];
    if (remedy) return `sparkle: ${error.message}. ${remedy}`;
  }
  return `sparkle: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
