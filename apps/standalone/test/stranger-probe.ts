import type { SentStatement, StatementConnection } from '@sparkle/database';

/** What a statement gave to somebody it was not meant for. */
export interface Leak {
  readonly text: string;
  /** The tenant that asked; none for an empty string. */
  readonly asker: string;
  readonly what: string;
}

/** Nobody's tenant, and no tenant at all. */
const ASKERS = ['stranger', ''];
/** The server's clock and settings are nobody's. */
const READS_TABLES = /(?<!epoch )\b(?:FROM|INTO|UPDATE|JOIN)\s+[a-z]/i;
const REFUSED_BY_POLICY = '42501';

/**
 * Repeats every statement of a tenant as a tenant that owns nothing and without a tenant, with the same parameters,
 * and notes what came back or would have been changed.
 */
export class StrangerProbe {
  readonly leaks: Leak[] = [];
  asked = 0;
  refused = 0;

  readonly probe = async (connection: StatementConnection, statement: SentStatement): Promise<void> => {
    if (statement.tenantId === undefined || !READS_TABLES.test(statement.text)) return;
    for (const asker of ASKERS) await this.ask(connection, statement, asker);
  };

  private async ask(
    connection: StatementConnection,
    { text, parameters = [] }: SentStatement,
    asker: string,
  ): Promise<void> {
    this.asked += 1;
    await connection.query('SAVEPOINT stranger');
    try {
      await connection.query("SELECT set_config('sparkle.tenant_id', $1, true)", [asker]);
      const { rows, rowCount, command } = await connection.query({ text, values: [...parameters] });
      const changed = command === 'SELECT' ? 0 : (rowCount ?? 0);
      if (changed > 0) this.leaks.push({ text, asker, what: `changed ${changed} rows` });
      const told = contentOf(rows, `${text}\n${JSON.stringify(parameters)}`);
      if (told !== undefined) this.leaks.push({ text, asker, what: `told ${told}` });
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === REFUSED_BY_POLICY) this.refused += 1;
      else if (!code?.startsWith('23')) this.leaks.push({ text, asker, what: `failed: ${String(error)}` });
    }
    await connection.query('ROLLBACK TO SAVEPOINT stranger');
    await connection.query('RELEASE SAVEPOINT stranger');
  }
}

/** A value of the rows that is not empty and was not in what was sent; `undefined` when there is none. */
function contentOf(rows: readonly object[], sent: string): string | undefined {
  const told = leaves(rows).find((value) => {
    if (value === '' || value === '0' || value === 0 || value === false || value === null) return false;
    return !sent.includes(JSON.stringify(value).replace(/^"|"$/g, ''));
  });
  return told === undefined ? undefined : JSON.stringify(told);
}

function leaves(value: unknown): unknown[] {
  if (value instanceof Date || value === null || typeof value !== 'object') return [value];
  return Object.values(value).flatMap(leaves);
}
