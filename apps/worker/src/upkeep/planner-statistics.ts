import { Inject, Injectable } from '@nestjs/common';
import { SystemDatabase } from '@sparkle/contracts';

/**
 * Refreshes what the planner knows of partitioned tables. Autovacuum analyses partitions and never the table they
 * belong to, so that plans over many months would be made from the statistics of an empty table.
 */
@Injectable()
export class PlannerStatistics {
  constructor(@Inject(SystemDatabase) private readonly database: SystemDatabase) {}

  /** Tables the application does not own are left to their owner. Returns the names of those that were analysed. */
  async refresh(signal?: AbortSignal): Promise<readonly string[]> {
    const parents = await this.database.asSystem((sql) =>
      sql.query<{ name: string }>(
        `SELECT oid::regclass::text AS name FROM pg_class
         WHERE relkind = 'p' AND NOT relispartition AND relnamespace = current_schema()::regnamespace
           AND pg_has_role(relowner, 'USAGE')
         ORDER BY name`,
      ),
    );
    for (const { name } of parents) {
      signal?.throwIfAborted();
      // `regclass` has quoted the name where that is needed.
      await this.database.asSystem((sql) => sql.query(`ANALYZE ${name}`));
    }
    return parents.map(({ name }) => name);
  }
}
