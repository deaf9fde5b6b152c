import { PartitionModulusChangedError, PartitionSchemeInvalidError } from './errors.js';
import type { PartitionCallOptions, PartitionReport } from './monthly-partitions.js';
import { hashName } from './partition-names.js';
import {
  type PartitionChangeOptions,
  type PartitionDatabase,
  type PartitionDependencies,
  type PartitionInfo,
  type PartitionInspection,
  PartitionTable,
} from './partition-table.js';

export interface HashPartitionOptions extends PartitionChangeOptions {
  /** A table `PARTITION BY HASH (column)`. */
  table: string;
  column: string;
  /** Number of partitions, 1 to 1000. It cannot be changed once they are made. */
  modulus: number;
}

/** A fixed number of partitions between which rows are spread evenly by the hash of a column. */
export class HashPartitions {
  private readonly statements: PartitionTable;
  private readonly modulus: number;

  /** @throws PartitionSchemeInvalidError when a name or an option cannot be. */
  constructor(
    database: PartitionDatabase,
    options: HashPartitionOptions,
    dependencies: PartitionDependencies = {},
  ) {
    const { modulus } = options;
    if (!Number.isInteger(modulus) || modulus < 1 || modulus > 1000)
      throw new PartitionSchemeInvalidError('modulus must be a whole number from 1 to 1000.');
    this.modulus = modulus;
    this.statements = new PartitionTable(
      database,
      'hash',
      options.table,
      options.column,
      options,
      dependencies,
    );
  }

  get table(): string {
    return this.statements.table;
  }

  /**
   * Makes the partitions that are missing, all in one transaction: with some of them missing the table would
   * refuse the rows that belong there.
   * @throws PartitionModulusChangedError when there are partitions of another modulus.
   * @throws PartitionLockedError, PartitionSchemeMismatchError, PartitionNameTakenError
   */
  async ensure({ signal }: PartitionCallOptions = {}): Promise<PartitionReport> {
    const { statements, table, modulus } = this;
    const present = await statements.transaction((tx) => statements.partitions(tx), signal);
    if (this.missing(present).length === 0) return { created: [], moved: 0 };
    return statements.exclusively(
      table,
      async (tx) => {
        const created: string[] = [];
        for (const remainder of this.missing(await statements.partitions(tx))) {
          const name = hashName(table, modulus, remainder);
          await statements.createDetached(tx, name);
          await tx.query(
            `ALTER TABLE ${table} ATTACH PARTITION ${name}
             FOR VALUES WITH (MODULUS ${modulus}, REMAINDER ${remainder})`,
          );
          created.push(name);
        }
        return { created, moved: 0 };
      },
      signal,
    );
  }

  /** The partitions with their sizes. */
  inspect({ signal }: PartitionCallOptions = {}): Promise<PartitionInspection> {
    return this.statements.inspect(`${this.statements.column}::text`, signal);
  }

  private missing(present: readonly PartitionInfo[]): number[] {
    const hashes = present.flatMap(({ bound }) => (bound.kind === 'hash' ? [bound] : []));
    const moduli = [...new Set(hashes.map(({ modulus }) => modulus))].sort((a, b) => a - b);
    if (moduli.some((modulus) => modulus !== this.modulus))
      throw new PartitionModulusChangedError(this.table, this.modulus, moduli);
    const taken = new Set(hashes.map(({ remainder }) => remainder));
    return Array.from({ length: this.modulus }, (_, remainder) => remainder).filter(
      (remainder) => !taken.has(remainder),
    );
  }
}
