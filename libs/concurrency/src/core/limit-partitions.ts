import { assertSetting } from './adaptive-limit.js';

/** How much of a limit is kept for whom. */
export interface LimitPartitions {
  /** The partition in which requests of this name are counted. */
  partitionOf(name: string): string;
  /**
   * How many requests of the partition may always be in flight.
   * @param active partitions with a request in flight, the asking one included
   */
  guaranteeOf(partition: string, limit: number, active: number): number;
}

/** The sum of 0.1, 0.2 and 0.7 is a little more than 1, and 0.29 × 100 a little less than 29. */
const ROUNDING = 1e-9;

/** Where {@link FixedShares} counts all names that have no share. */
const REST = 'rest';

/** Fixed shares, e.g. `{ interactive: 0.6, batch: 0.1 }`; what they leave over is the share of everybody else. */
export class FixedShares implements LimitPartitions {
  private readonly rest: number;

  /** @throws AdaptiveLimitSettingsInvalidError unless shares are above 0 and their sum is at most 1. */
  constructor(private readonly shares: Readonly<Record<string, number>>) {
    const values = Object.values(shares);
    const sum = values.reduce((total, share) => total + share, 0);
    const valid = values.every((share) => share > 0) && sum <= 1 + ROUNDING;
    assertSetting('shares', shares, valid, 'above 0 and at most 1 in all');
    this.rest = Math.max(0, 1 - sum);
  }

  partitionOf(name: string): string {
    return Object.hasOwn(this.shares, name) ? name : REST;
  }

  guaranteeOf(partition: string, limit: number): number {
    const share = Object.hasOwn(this.shares, partition) ? this.shares[partition]! : this.rest;
    return Math.floor(limit * share + ROUNDING);
  }
}

/** As much for each partition as for any other that is active, at least one request. Made for tenants. */
export class EqualShares implements LimitPartitions {
  partitionOf(name: string): string {
    return name;
  }

  guaranteeOf(_partition: string, limit: number, active: number): number {
    return Math.max(1, Math.floor(limit / active));
  }
}
