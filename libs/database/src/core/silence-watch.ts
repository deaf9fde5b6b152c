import type { Clock, ClockTimer } from '@sparkle/contracts';
import type pg from 'pg';
import { cutConnection, socketOf } from './cancel-request.js';

/** A timer as late as this means that this process stood still, and may not even have sent its question. */
const LATE_MS = 100;
/** How often in succession that is believed. */
const PARDONS = 3;

/**
 * Cuts a connection on which an answer is due and not a byte arrives for too long. PostgreSQL's own limits are
 * kept by the server, so they bound nothing when the server, or the way to it, is what stands still.
 */
export class SilenceWatch {
  private due = 0;
  private timer: ClockTimer | undefined;
  private limit = 0;
  private cutAfter: number | undefined;

  constructor(
    private readonly client: pg.Client,
    private readonly clock: Clock,
  ) {}

  /** Silence that is borne, in milliseconds, from the next answer on; 0: any. */
  set limitMs(limitMs: number) {
    this.limit = limitMs;
  }

  /** How long the server had been silent when its connection was cut; undefined while it is not. */
  get silentMs(): number | undefined {
    return this.cutAfter;
  }

  /** Waits for `answer`, which is rejected when the silence gets too long. */
  expect<T>(answer: Promise<T>): Promise<T> {
    this.due += 1;
    if (this.due === 1) this.listen();
    const settled = () => {
      this.due -= 1;
      this.timer?.cancel();
      this.timer = undefined;
      // Statements queue on a connection: the next one has only begun.
      if (this.due > 0) this.listen();
    };
    answer.then(settled, settled);
    return answer;
  }

  private listen(pardons = PARDONS): void {
    const { limit } = this;
    if (limit === 0) return;
    const socket = socketOf(this.client);
    const heard = socket.bytesRead;
    const dueAt = this.clock.monotonic() + limit;
    const timer = this.clock.schedule(limit, () => {
      const late = this.clock.monotonic() - dueAt > LATE_MS;
      // What has come in meanwhile is read before this runs.
      setImmediate(() => {
        if (this.timer !== timer) return;
        if (socket.bytesRead !== heard) this.listen();
        else if (late && pardons > 0) this.listen(pardons - 1);
        else {
          this.cutAfter = limit;
          cutConnection(this.client);
        }
      });
    });
    this.timer = timer;
  }
}
