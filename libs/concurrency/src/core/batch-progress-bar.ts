import { type Clock, SystemClock } from '@sparkle/contracts';
import cliProgress from 'cli-progress';
import type { BatchProgress } from './batch-progress.js';

export interface BatchProgressBarSettings {
  /** Default: the standard error stream, so that results can be piped. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Default `progress`. */
  readonly label?: string;
  /** Time between two lines when the stream is no terminal, milliseconds. Default 2000. */
  readonly everyMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/**
 * Shows a batch's progress: a bar on a terminal, otherwise a plain line every two seconds and one at the end,
 * fit for a log. It ends with its batch; `stop` it if the batch may never start.
 *
 * ```ts
 * await processBatch(files, ingest, { onProgress: new BatchProgressBar({ label: 'files' }).update });
 * ```
 */
export class BatchProgressBar implements Disposable {
  private readonly stream: NodeJS.WritableStream;
  private readonly label: string;
  private readonly everyMs: number;
  private readonly clock: Clock;
  private readonly bar: cliProgress.SingleBar | undefined;
  private started = false;
  private lastLineAtMs: number;

  constructor({
    stream = process.stderr,
    label = 'progress',
    everyMs = 2000,
    clock = new SystemClock(),
  }: BatchProgressBarSettings = {}) {
    this.stream = stream;
    this.label = label;
    this.everyMs = everyMs;
    this.clock = clock;
    this.lastLineAtMs = clock.monotonic();
    if (stream.isTTY) {
      this.bar = new cliProgress.SingleBar({
        stream,
        format: (_options, _params, payload: { progress?: BatchProgress }) =>
          payload.progress ? this.describe(payload.progress, true) : label,
        // Modes of the terminal would outlive a process that is killed.
        linewrap: true,
        hideCursor: false,
      });
    }
  }

  /** Give this to `onProgress`. */
  readonly update = (progress: BatchProgress): void => {
    if (this.bar) this.draw(this.bar, progress);
    else this.print(progress);
  };

  /** Leaves the bar as it stands. Safe to call again. */
  stop(): void {
    this.bar?.stop();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  private draw(bar: cliProgress.SingleBar, progress: BatchProgress): void {
    const total = progress.total ?? progress.done;
    if (this.started) {
      bar.setTotal(total);
      bar.update(progress.done, { progress });
    } else {
      bar.start(total, progress.done, { progress });
      this.started = true;
    }
    if (progress.finished) bar.stop();
  }

  private print(progress: BatchProgress): void {
    const nowMs = this.clock.monotonic();
    if (!progress.finished && nowMs - this.lastLineAtMs < this.everyMs) return;
    this.lastLineAtMs = nowMs;
    this.stream.write(`${this.describe(progress, false)}\n`);
  }

  private describe(progress: BatchProgress, drawn: boolean): string {
    const { total, done, failed, cancelled, retries, ratePerSecond, etaMs, finished } = progress;
    const share = total ? done / total : undefined;
    const parts = [total === undefined ? `${done}` : `${done}/${total}`];
    if (share !== undefined) parts[0] += ` (${Math.floor(share * 100)} %)`;
    if (failed > 0) parts.push(`${failed} failed`);
    if (cancelled > 0) parts.push(`${cancelled} cancelled`);
    if (retries > 0) parts.push(`${retries} ${retries === 1 ? 'retry' : 'retries'}`);
    if (ratePerSecond > 0) parts.push(`${ratePerSecond.toFixed(1)}/s`);
    if (etaMs !== undefined && !finished) parts.push(`${Math.ceil(etaMs / 1000)} s left`);
    const bar = drawn && share !== undefined ? ` [${barOf(share)}]` : '';
    return `${this.label}${bar} ${parts.join(', ')}`;
  }
}

const BAR_LENGTH = 30;

function barOf(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_LENGTH);
  return '='.repeat(filled) + '-'.repeat(BAR_LENGTH - filled);
}
