import { fileURLToPath } from 'node:url';

/** V8's default. Each frame costs time, and a transaction is opened by its caller, not by way of a library. */
const CAPTURED_FRAMES = 10;

/** Where this package lives; its frames say nothing about the caller, whether sources or `dist` run. */
const PACKAGE = new URL('../..', import.meta.url);
const OWN = [new URL('src/', PACKAGE), new URL('dist/', PACKAGE)].flatMap((url) => [
  url.href,
  fileURLToPath(url),
]);
const FOREIGN = /\(?(node:|<anonymous>)|[\\/]node_modules[\\/](typeorm|pg|pg-pool|dataloader)[\\/]/;

/** The place in the program where it was made, found out only when asked for: making one costs microseconds. */
export class CallTrace {
  private readonly holder: { stack?: string } = {};

  /**
   * @param above the function whose callers count.
   * @param frames how many of them to look at, those in libraries included.
   */
  constructor(above: (...args: never[]) => unknown, frames = CAPTURED_FRAMES) {
    const limit = Error.stackTraceLimit;
    // A process that wants no stack traces (0) gets none.
    if (limit > 0) Error.stackTraceLimit = frames;
    Error.captureStackTrace(this.holder, above);
    Error.stackTraceLimit = limit;
  }

  /** `function (file:line:column)` of the first caller outside of this library and its database drivers. */
  get origin(): string | undefined {
    return this.callers(1)[0];
  }

  /** The first `count` callers outside of this library and its drivers, the innermost first. */
  callers(count: number): string[] {
    const frames = (this.holder.stack ?? '').split('\n').slice(1);
    const outside = frames.filter(
      (frame) => !FOREIGN.test(frame) && !OWN.some((root) => frame.includes(root)),
    );
    return outside.slice(0, count).map((frame) => frame.trim().replace(/^at (async )?/, ''));
  }
}
