import { type Clock, SystemClock } from '@sparkle/contracts';
import type { Database } from './database.service.js';
import type { Transaction } from './transaction-scope.js';

/** Advisory lock that serialises partition changes; "studyrec" in hexadecimal. */
const PARTITION_LOCK = BigInt('0x7374756479726563').toString();

export interface PartitionReport {
  /** Names of the partitions made by this call. */
  readonly created: readonly string[];
  /** Rows moved out of the default partition into them. */
  readonly moved: number;
}

/**
 * Monthly partitions of `study_records` (months in UTC). Records of a month without a partition are kept in
 * the default partition and move to the month's own when that is made.
 */
export class StudyRecordPartitions {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock = new SystemClock(),
  ) {}

  /**
   * Makes the partitions of this month and of the next `monthsAhead` that are missing. Any number of workers
   * may call it at the same time; each partition is made once, in a transaction of its own.
   */
  async ensure(monthsAhead = 3): Promise<PartitionReport> {
    const now = new Date(this.clock.now());
    const created: string[] = [];
    let moved = 0;
    for (let ahead = 0; ahead <= monthsAhead; ahead++) {
      const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead);
      const made = await this.ensureMonth(new Date(month));
      if (!made) continue;
      created.push(made.name);
      moved += made.moved;
    }
    return { created, moved };
  }

  private ensureMonth(month: Date): Promise<{ name: string; moved: number } | undefined> {
    const from = month.toISOString();
    const to = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1)).toISOString();
    const name = `study_records_${from.slice(0, 4)}_${from.slice(5, 7)}`;
    return this.database.asSystem(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK]);
      const [existing] = await tx.query('SELECT to_regclass($1) AS name WHERE to_regclass($1) IS NOT NULL', [
        name,
      ]);
      return existing ? undefined : { name, moved: await attachMonth(tx, name, from, to) };
    });
  }
}

/**
 * Attaching verifies that the default partition holds no row of the month, so those move first; the lock
 * keeps new ones out until the partition is there to receive them.
 */
async function attachMonth(tx: Transaction, name: string, from: string, to: string): Promise<number> {
  await tx.query('LOCK TABLE ONLY study_records IN SHARE UPDATE EXCLUSIVE MODE');
  await tx.query('LOCK TABLE study_records_default IN ACCESS EXCLUSIVE MODE');
  await tx.query(`CREATE TABLE ${name} (LIKE study_records INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
  const [moved] = await tx.query<{ count: number }>(
    `WITH moved AS (
       DELETE FROM study_records_default WHERE study_time >= $1 AND study_time < $2 RETURNING *
     ), stored AS (
       INSERT INTO ${name} SELECT * FROM moved RETURNING 1
     )
     SELECT count(*)::int AS count FROM stored`,
    [from, to],
  );
  await tx.query(
    `ALTER TABLE study_records ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${to}')`,
  );
  return moved!.count;
}
