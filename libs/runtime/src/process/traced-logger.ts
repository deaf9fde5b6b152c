import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { currentTraceId } from '@sparkle/metrics';

/** Nest's console logger; a line written for a traced request or job carries the id of its trace. */
export class TracedLogger extends ConsoleLogger {
  constructor(logLevels: LogLevel[]) {
    super({ logLevels, colors: process.stdout.isTTY === true });
  }

  protected override formatContext(context: string): string {
    const traceId = currentTraceId();
    return traceId === undefined
      ? super.formatContext(context)
      : `${super.formatContext(context)}[trace ${traceId}] `;
  }
}
