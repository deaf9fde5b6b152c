import type { SqlClient, TenantDatabase, TenantId } from '@sparkle/contracts';

/** What stands between a process and its database. */
export type Intervene = (transaction: number, phase: 'before' | 'after') => Promise<void>;

/** A process's way to the database, on which a test may hold up each transaction before it begins or after its commit. */
export class InterruptingDatabase implements TenantDatabase {
  /** Transactions begun, or held up before they began. */
  transactions = 0;

  constructor(
    private readonly database: TenantDatabase,
    private readonly intervene: Intervene,
  ) {}

  async withTenant<T>(tenantId: TenantId, work: (sql: SqlClient) => Promise<T>): Promise<T> {
    this.transactions += 1;
    const transaction = this.transactions;
    await this.intervene(transaction, 'before');
    const result = await this.database.withTenant(tenantId, work);
    await this.intervene(transaction, 'after');
    return result;
  }
}
