import type { TenantId } from '@sparkle/contracts';
import type { Database } from '../core/database.service.js';
import type { Transaction } from '../core/transaction-scope.js';
import { type ExplainedStatement, StatementCapture } from './statement-capture.js';

/** A statement to explain, with parameters it is really called with. */
export interface StatementToExplain {
  readonly name: string;
  readonly text: string;
  readonly parameters?: readonly unknown[];
  /** Sees this tenant's rows; without it, all rows as the system does. */
  readonly tenantId?: TenantId;
  /** Settings of the transaction, such as `{ 'hnsw.ef_search': '100' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Runs each statement once with EXPLAIN ANALYZE, as the role and tenant the application would run it as, in a
 * transaction of its own that is rolled back. A statement that fails is told with its reason, the others go on.
 */
export async function explainStatements(
  database: Database,
  statements: readonly StatementToExplain[],
): Promise<ExplainedStatement[]> {
  const explained: ExplainedStatement[] = [];
  for (const { name, text, parameters, tenantId, settings } of statements) {
    const work = async (tx: Transaction) => {
      for (const [key, value] of Object.entries(settings ?? {}))
        await tx.query('SELECT set_config($1, $2, true)', [key, value]);
      const { statements: captured } = await StatementCapture.run(() =>
        tx.query(text, parameters).catch(() => []),
      );
      for (const statement of captured) explained.push({ ...statement, name });
      throw ROLL_BACK;
    };
    await (tenantId === undefined ? database.asSystem(work) : database.withTenant(tenantId, work)).catch(
      (error: unknown) => {
        if (error !== ROLL_BACK) throw error;
      },
    );
  }
  return explained;
}

const ROLL_BACK = Symbol('roll back');
