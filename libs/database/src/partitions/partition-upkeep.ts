import { type Clock, SystemClock } from '@sparkle/contracts';
import type { MonthlyPartitions, PartitionCallOptions, PartitionReport } from './monthly-partitions.js';
import type { PartitionRetention, RetentionReport } from './partition-retention.js';

export interface PartitionUpkeepOptions {
  /** How often the default partition is looked through and old months are archived. Default 1 h. */
  sweepEveryMs?: number;
}

export interface PartitionUpkeepReport extends PartitionReport, RetentionReport {}

const SWEEP_EVERY_MS = 3_600_000;

/**
 * What a scheduled job calls, each minute if it likes: makes partitions ahead of time, and when a sweep is due
 * moves strays and archives old months. A run with nothing to do is one query of the catalog.
 */
export class PartitionUpkeep {
  private readonly sweepEveryMs: number;
  private sweptAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly partitions: MonthlyPartitions,
    /** Without it nothing is ever taken out. */
    readonly retention?: PartitionRetention,
    options: PartitionUpkeepOptions = {},
    private readonly clock: Clock = new SystemClock(),
  ) {
    this.sweepEveryMs = options.sweepEveryMs ?? SWEEP_EVERY_MS;
  }

  /** Throws what the steps throw, after all of them were tried; a sweep that failed is due again. */
  async run({ signal }: PartitionCallOptions = {}): Promise<PartitionUpkeepReport> {
    const created: string[] = [];
    const failures: unknown[] = [];
    let moved = 0;
    let retention: RetentionReport = { archived: [], busy: [] };
    const step = async (work: () => Promise<PartitionReport>) => {
      try {
        const report = await work();
        created.push(...report.created);
        moved += report.moved;
      } catch (error) {
        failures.push(error);
      }
    };
    await step(() => this.partitions.ensure({ ...(signal && { signal }) }));
    if (this.clock.monotonic() - this.sweptAt >= this.sweepEveryMs) {
      const startedAt = this.clock.monotonic();
      await step(() => this.partitions.moveStrays({ ...(signal && { signal }) }));
      await step(async () => {
        if (this.retention) retention = await this.retention.retire({ ...(signal && { signal }) });
        return { created: [], moved: 0 };
      });
      if (failures.length === 0) this.sweptAt = startedAt;
    }
    if (failures.length > 0) throw failures[0];
    return { created, moved, ...retention };
  }
}
