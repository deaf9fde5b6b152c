import { AsyncLocalStorage } from 'node:async_hooks';
import type { TenantId } from '@sparkle/contracts';
import type pg from 'pg';
import { CallTrace } from '../core/call-origin.js';
import { EXPLAIN, isExplainable, parseStatementPlan, type StatementPlan } from './statement-plan.js';

/** A statement as the work sent it, and how PostgreSQL ran it. */
export interface ExplainedStatement {
  /** Who sent it: `file:function` of the nearest caller outside of this library, unless it was given. */
  readonly name: string;
  readonly text: string;
  /** Whose rows it saw; absent for the system's. */
  readonly tenantId?: TenantId;
  /** Absent for statements that have no plan (LOCK, DDL) and for those whose EXPLAIN failed. */
  readonly plan?: StatementPlan;
  /** Why there is no plan, in the server's words, when EXPLAIN failed. */
  readonly failure?: string;
}

export interface StatementCaptureOptions {
  /**
   * How many executions of one text to explain for each tenant; the others run as always. Plans depend on
   * parameters and on the tenant's share of the table, so one is not enough. Default 3.
   */
  plansPerTenant?: number;
  /** Called for each statement that is explained, in the same place: what it does is undone. For tests. */
  probe?: (connection: StatementConnection, statement: SentStatement) => Promise<void>;
}

/** A statement on its way to the server. */
export interface SentStatement {
  readonly text: string;
  readonly parameters: readonly unknown[] | undefined;
  readonly tenantId: TenantId | undefined;
  /** Begins, ends or scopes a transaction: neither recorded nor explained. */
  readonly control: boolean;
}

/** The connection a statement is sent on, in the middle of its transaction. */
export type StatementConnection = Pick<pg.ClientBase, 'query'>;

const storage = new AsyncLocalStorage<StatementCapture>();

/**
 * Records every statement that a piece of work sends through `Database`, with its plan. The plan is taken right
 * before the statement runs, in its own transaction between a savepoint and the return to it: same role, same
 * tenant, same settings, same parameters, same rows. So the statement runs twice, and its first run is undone.
 * For benches, tests and reports on data nobody needs, not for a process that serves.
 */
export class StatementCapture {
  private readonly captured: ExplainedStatement[] = [];
  private readonly plansTaken = new Map<string, number>();
  /** What each connection does last: one thing at a time, or a statement would fall into another's savepoint. */
  private readonly tails = new WeakMap<StatementConnection, Promise<unknown>>();

  private constructor(
    private readonly plansPerTenant: number,
    private readonly probe: StatementCaptureOptions['probe'],
  ) {}

  /** Runs `work` and returns its result with the statements it sent, in the order they were sent. */
  static async run<T>(
    work: () => Promise<T>,
    options: StatementCaptureOptions = {},
  ): Promise<{ result: T; statements: readonly ExplainedStatement[] }> {
    const capture = new StatementCapture(options.plansPerTenant ?? 3, options.probe);
    const result = await storage.run(capture, work);
    return { result, statements: capture.captured };
  }

  /** Sends a statement by `send`, explained first where a capture is on. Called by a transaction. */
  static around<T>(
    client: StatementConnection,
    statement: SentStatement,
    send: () => Promise<T>,
  ): Promise<T> {
    const capture = storage.getStore();
    return capture ? capture.inTurn(client, statement, send) : send();
  }

  private inTurn<T>(
    client: StatementConnection,
    statement: SentStatement,
    send: () => Promise<T>,
  ): Promise<T> {
    const at = statement.control ? -1 : this.record(statement);
    const turn = (this.tails.get(client) ?? Promise.resolve()).then(async () => {
      if (at >= 0 && this.takesPlan(statement)) await this.explain(client, statement, at);
      return send();
    });
    this.tails.set(
      client,
      turn.catch(() => undefined),
    );
    return turn;
  }

  private record({ text, tenantId }: SentStatement): number {
    const name = senderOf(new CallTrace(StatementCapture.around, 40).origin);
    return this.captured.push({ name, text, ...(tenantId !== undefined && { tenantId }) }) - 1;
  }

  private takesPlan({ text, tenantId }: SentStatement): boolean {
    if (!isExplainable(text)) return false;
    const key = JSON.stringify([tenantId, text]);
    const taken = this.plansTaken.get(key) ?? 0;
    this.plansTaken.set(key, taken + 1);
    return taken < this.plansPerTenant;
  }

  private async explain(client: StatementConnection, statement: SentStatement, at: number): Promise<void> {
    const { text, parameters } = statement;
    await client.query('SAVEPOINT sparkle_explain');
    const explained = await client.query({ text: EXPLAIN + text, values: [...(parameters ?? [])] }).then(
      ({ rows }) => ({ plan: parseStatementPlan(rows[0]) }),
      (error: unknown) => ({ failure: String(error instanceof Error ? error.message : error) }),
    );
    await client.query('ROLLBACK TO SAVEPOINT sparkle_explain');
    await this.probe?.(client, statement);
    await client.query('ROLLBACK TO SAVEPOINT sparkle_explain');
    await client.query('RELEASE SAVEPOINT sparkle_explain');
    this.captured[at] = { ...this.captured[at]!, ...explained };
  }
}

/** `file:function` of who sent a statement, from what {@link CallTrace} says. */
function senderOf(origin: string | undefined): string {
  const parts = /^(?:(.+) \()?.*?([^/\\]+):\d+:\d+\)?$/.exec(origin ?? '');
  if (!parts) return 'unknown';
  const [, caller, file] = parts;
  return caller === undefined ? file! : `${file}:${caller}`;
}
