import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '@sparkle/contracts';
import { parseWalPosition } from './wal-position.js';

/** Where the primary was, no earlier than at `askedAt` (monotonic milliseconds). */
interface Sample {
  readonly askedAt: number;
  readonly position: bigint;
}

/**
 * What the primary's write-ahead log reached when. A replica that has replayed the position of a sample shows
 * everything that was committed before the sample was asked for; so its lag is known without comparing clocks of
 * machines, and without mistaking an idle primary for a replica that stands still.
 */
export class PrimaryPositions {
  /** In the order they were asked for. */
  private samples: Sample[] = [];
  /** Whoever happens to be the one that asks, it is not part of their request. */
  private readonly outside = AsyncLocalStorage.snapshot();
  private asking: { readonly askedAt: number; readonly sample: Promise<Sample> } | undefined;

  /**
   * @param ask reads `pg_current_wal_insert_lsn()`.
   * @param keepMs age beyond which no one is interested in a sample.
   */
  constructor(
    private readonly clock: Clock,
    private readonly ask: () => Promise<string>,
    private readonly keepMs: number,
  ) {}

  /** Makes sure that there is a sample asked for at `time` or later. Callers at the same time share one. */
  async since(time: number): Promise<void> {
    const newest = this.samples.at(-1);
    if (newest && newest.askedAt >= time) return;
    if (!this.asking || this.asking.askedAt < time) this.asking = this.sample();
    await this.asking.sample;
  }

  /**
   * The time up to which a replica at `replayed` shows every commit: that of the newest sample it has reached.
   * Undefined when it has reached none.
   */
  currentAsOf(replayed: bigint): number | undefined {
    return this.samples.findLast(({ position }) => position <= replayed)?.askedAt;
  }

  private sample(): { askedAt: number; sample: Promise<Sample> } {
    const askedAt = this.clock.monotonic();
    const sample = this.outside(this.ask).then((text) => {
      const taken = { askedAt, position: parseWalPosition(text) };
      this.samples = [...this.samples.filter((old) => old.askedAt >= askedAt - this.keepMs), taken].sort(
        (a, b) => a.askedAt - b.askedAt,
      );
      return taken;
    });
    const asking = { askedAt, sample };
    const done = () => {
      if (this.asking === asking) this.asking = undefined;
    };
    sample.then(done, done);
    return asking;
  }
}
