import { PostgresConnection, type PostgresPoolConfig } from 'bullmq';
import type { JobTurns } from './job-turns.port.js';

/** As a key of the advisory lock under which processes make the table. */
const TABLE_LOCK = 7_305_519;

/** Tenant of the row with the turn under way; no tenant is named so. */
const UNDER_WAY = '';

/** Turns in a table beside BullMQ's own, in its schema. */
export class PostgresJobTurns implements JobTurns {
  private opened: Promise<PostgresConnection> | undefined;

  constructor(private readonly settings: PostgresPoolConfig) {}

  async take(...[queue, priority, tenantId]: Parameters<JobTurns['take']>): Promise<number> {
    const [row] = await this.query<{ turn: number }>(
      `WITH under_way AS (
         SELECT coalesce((SELECT next FROM job_turn WHERE queue = $1 AND priority = $2 AND tenant_id = ''), 0) AS turn)
       INSERT INTO job_turn AS taken (queue, priority, tenant_id, next)
       SELECT $1, $2, $3, turn + 1 FROM under_way
       ON CONFLICT (queue, priority, tenant_id)
       DO UPDATE SET next = greatest(taken.next, excluded.next - 1) + 1
       RETURNING next - 1 AS turn`,
      [queue, priority, tenantId],
    );
    if (!row) throw new TypeError('PostgreSQL counts no turns');
    return row.turn;
  }

  async begin(...[queue, priority, turn]: Parameters<JobTurns['begin']>): Promise<void> {
    await this.query(
      `INSERT INTO job_turn AS begun (queue, priority, tenant_id, next) VALUES ($1, $2, $4, $3)
       ON CONFLICT (queue, priority, tenant_id) DO UPDATE SET next = excluded.next WHERE begun.next < excluded.next`,
      [queue, priority, turn, UNDER_WAY],
    );
  }

  async current(...[queue, priority]: Parameters<JobTurns['current']>): Promise<number> {
    const [row] = await this.query<{ next: number }>(
      'SELECT next FROM job_turn WHERE queue = $1 AND priority = $2 AND tenant_id = $3',
      [queue, priority, UNDER_WAY],
    );
    return row?.next ?? 0;
  }

  async restart(...[queue, priority]: Parameters<JobTurns['restart']>): Promise<void> {
    await this.query('DELETE FROM job_turn WHERE queue = $1 AND priority = $2', [queue, priority]);
  }

  async close(): Promise<void> {
    const connection = await this.opened?.catch(() => undefined);
    await connection?.close();
  }

  private async query<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    this.opened ??= this.open();
    const { pool } = await this.opened.catch((error: unknown) => {
      this.opened = undefined;
      throw error;
    });
    return (await pool.query<Row>(text, [...values])).rows;
  }

  private async open(): Promise<PostgresConnection> {
    const connection = new PostgresConnection({ ...this.settings, max: 1 });
    // Failures reach whoever takes a turn; without a listener an idle connection's end would end the process.
    connection.on('error', () => {});
    try {
      await connection.waitUntilReady();
      await connection.pool.query(
        `DO $$ BEGIN
           PERFORM pg_advisory_xact_lock(${TABLE_LOCK});
           CREATE TABLE IF NOT EXISTS job_turn (
             queue text NOT NULL, priority text NOT NULL, tenant_id text NOT NULL, next integer NOT NULL,
             PRIMARY KEY (queue, priority, tenant_id));
         END $$`,
      );
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }
}
