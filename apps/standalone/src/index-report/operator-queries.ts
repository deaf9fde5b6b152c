import type { Database } from '@sparkle/database';

/**
 * What operators ask of all tenants at once, beside what the application asks: two indexes are there for it, and
 * `docs/guides/index-strategy.md` shows the plans.
 */
export async function askAsOperator(database: Database): Promise<void> {
  await database.asSystem(async (sql) => {
    await sql.query(
      'SELECT tenant_id, id, created_at FROM users WHERE status = $1 ORDER BY created_at DESC LIMIT 50',
      ['suspended'],
    );
    // Records arrive late or are restored: when they were written is not when was studied.
    await sql.query(
      `SELECT tenant_id, count(*) AS records, sum(duration_seconds) AS seconds FROM study_records
       WHERE created_at >= now() - interval '31 days' AND created_at < now() - interval '30 days' GROUP BY tenant_id`,
    );
  });
}
