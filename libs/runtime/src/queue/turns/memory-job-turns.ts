import type { JobTurns } from './job-turns.port.js';

/** Turns of one process; the model of the others. */
export class MemoryJobTurns implements JobTurns {
  private readonly rows = new Map<string, { current: number; next: Map<string, number> }>();

  async take(...[queue, priority, tenantId]: Parameters<JobTurns['take']>): Promise<number> {
    const { current, next } = this.row(queue, priority);
    const turn = Math.max(current, next.get(tenantId) ?? 0);
    next.set(tenantId, turn + 1);
    return turn;
  }

  async begin(...[queue, priority, turn]: Parameters<JobTurns['begin']>): Promise<void> {
    const row = this.row(queue, priority);
    row.current = Math.max(row.current, turn);
    for (const [tenantId, next] of row.next) if (next <= row.current) row.next.delete(tenantId);
  }

  async current(...[queue, priority]: Parameters<JobTurns['current']>): Promise<number> {
    return this.row(queue, priority).current;
  }

  async restart(...[queue, priority]: Parameters<JobTurns['restart']>): Promise<void> {
    this.rows.delete(`${queue} ${priority}`);
  }

  async close(): Promise<void> {}

  private row(queue: string, priority: string) {
    const key = `${queue} ${priority}`;
    const row = this.rows.get(key) ?? { current: 0, next: new Map<string, number>() };
    this.rows.set(key, row);
    return row;
  }
}
