import pg from 'pg';
import { PartitionSchemeInvalidError, PartitionSplitTooLargeError } from './errors.js';
import type { PartitionCallOptions, PartitionReport } from './monthly-partitions.js';
import { valueName } from './partition-names.js';
import {
  type PartitionChangeOptions,
  type PartitionDatabase,
  type PartitionDependencies,
  type PartitionInfo,
  type PartitionInspection,
  PartitionTable,
} from './partition-table.js';

export interface ListPartitionOptions extends PartitionChangeOptions {
  /** A table `PARTITION BY LIST (column)`. */
  table: string;
  column: string;
}

export interface ListEnsureOptions extends PartitionCallOptions {
  /** Splits values with more than `rowsPerLock` rows too; the default partition is locked as long as it takes. */
  anySize?: boolean;
}

/**
 * Partitions for single values of a column, such as large tenants; all other values share the default
 * partition. Names are derived from the values, which may have any characters.
 */
export class ListPartitions {
  private readonly statements: PartitionTable;

  /** @throws PartitionSchemeInvalidError when a name or an option cannot be. */
  constructor(
    database: PartitionDatabase,
    options: ListPartitionOptions,
    dependencies: PartitionDependencies = {},
  ) {
    this.statements = new PartitionTable(
      database,
      'list',
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
   * Makes the missing partitions of `values`, each with the rows that the default partition has of it. A row is
   * always visible in exactly one place.
   * @throws PartitionSplitTooLargeError when a value has more than `rowsPerLock` rows, unless `anySize` is set.
   * @throws PartitionSchemeInvalidError when a value cannot be stored.
   * @throws PartitionLockedError, PartitionSchemeMismatchError, PartitionNameTakenError
   */
  async ensure(
    values: readonly string[],
    { signal, anySize = false }: ListEnsureOptions = {},
  ): Promise<PartitionReport> {
    if (values.some((value) => value.includes('\0')))
      throw new PartitionSchemeInvalidError('A value of a partition cannot contain the character U+0000.');
    const { statements } = this;
    const present = await statements.transaction((tx) => statements.partitions(tx), signal);
    const created: string[] = [];
    let moved = 0;
    for (const value of new Set(values)) {
      if (present.some((partition) => holds(partition, value))) continue;
      const made = await this.make(value, anySize, signal);
      created.push(...made.created);
      moved += made.moved;
    }
    return { created, moved };
  }

  /** The partitions, and how many rows of which values are in the default one. Reads all of that one. */
  inspect({ signal }: PartitionCallOptions = {}): Promise<PartitionInspection> {
    return this.statements.inspect(`${this.statements.column}::text`, signal);
  }

  private make(value: string, anySize: boolean, signal: AbortSignal | undefined): Promise<PartitionReport> {
    const { statements, table } = this;
    const { column, rowsPerLock } = statements;
    const name = valueName(table, value);
    return statements.exclusively(
      name,
      async (tx) => {
        const all = await statements.partitions(tx);
        if (all.some((partition) => holds(partition, value))) return { created: [], moved: 0 };
        const fallback = all.find(({ bound }) => bound.kind === 'default');
        const condition = `${column} = $1`;
        if (fallback && !anySize) {
          const [count] = await tx.query<{ rows: number }>(
            `SELECT count(*)::float8 AS rows FROM ${fallback.name} WHERE ${condition}`,
            [value],
          );
          if (count!.rows > rowsPerLock)
            throw new PartitionSplitTooLargeError(name, count!.rows, rowsPerLock);
        }
        await statements.lock(tx, fallback);
        await statements.createDetached(tx, name);
        const moved = fallback ? await statements.move(tx, fallback.name, name, condition, [value]) : 0;
        await tx.query(
          `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES IN (${pg.escapeLiteral(value)})`,
        );
        return { created: [name], moved };
      },
      signal,
    );
  }
}

function holds({ bound }: PartitionInfo, value: string): boolean {
  return bound.kind === 'list' && bound.values.includes(value);
}
