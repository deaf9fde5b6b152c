import { type Clock, channels, type SqlClient, type TenantId } from '@sparkle/contracts';
import type pg from 'pg';
import type { EntityManager, QueryRunner } from 'typeorm';
import { TransactionAbortedError, TransactionClosedError } from '../errors.js';
import { cancelStatement } from './cancel-request.js';
import { errorCode } from './connection-failure.js';
import { QueryCounter } from './query-counter.js';

/** The transaction a piece of work runs in. Valid until the work's promise settles. */
export interface Transaction extends SqlClient {
  /** TypeORM's entity manager bound to this transaction. */
  readonly manager: EntityManager;
  /** Aborts when the caller's signal does; hand it to whatever else the work waits for. */
  readonly signal: AbortSignal;
  /**
   * Runs `hook` once the outermost transaction is committed; never when it, or the nested scope that
   * registered the hook, is rolled back.
   */
  afterCommit(hook: () => void | Promise<void>): void;
}

type Hook = () => void | Promise<void>;

const TRANSACTION_CONTROL =
  /^\s*(START TRANSACTION|SET TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT|SELECT set_config)\b/;

const IN_FAILED_TRANSACTION = '25P02';

/** How long a cancelled statement may take to stop before its connection is cut. */
const CANCEL_GRACE_MS = 5_000;

/**
 * One transaction on one connection. Every statement, TypeORM's included, passes {@link send}, so that once
 * the scope is closed nothing can reach the connection any more: a statement that slipped behind ROLLBACK
 * would run outside of the transaction, as the login role and without a tenant.
 */
export class TransactionScope {
  readonly tx: Transaction;
  private readonly inFlight = new Set<Promise<unknown>>();
  private readonly execute: QueryRunner['query'];
  private hooks: Hook[] = [];
  private open = true;
  private working = true;
  private firstFailure: unknown;
  /** Nested scopes share the connection's stack of savepoints, so siblings take turns. */
  private nestedTail: Promise<void> = Promise.resolve();

  constructor(
    private readonly runner: QueryRunner,
    private readonly client: pg.ClientBase,
    private readonly clock: Clock,
    readonly tenantId: TenantId | undefined,
    readonly signal: AbortSignal,
  ) {
    this.execute = runner.query.bind(runner) as QueryRunner['query'];
    runner.query = ((text: string, parameters?: unknown[], structured?: boolean) =>
      this.send(text, parameters, structured)) as QueryRunner['query'];
    this.tx = {
      query: async <Row extends object>(text: string, parameters?: readonly unknown[]) =>
        (await this.runner.query(text, parameters && [...parameters], true)).records as Row[],
      manager: runner.manager,
      signal,
      afterCommit: (hook) => {
        if (!this.open) throw new TransactionClosedError();
        this.hooks.push(hook);
      },
    };
  }

  /** `abandoned`: rolled back while its work is still going on, because the caller aborted. */
  get phase(): 'open' | 'abandoned' | 'ended' {
    if (this.open) return 'open';
    return this.working ? 'abandoned' : 'ended';
  }

  /** Follows the work this scope was opened for. */
  watch<T>(work: Promise<T>): Promise<T> {
    const settled = () => {
      this.working = false;
    };
    work.then(settled, settled);
    return work;
  }

  /** Why nothing more may be done in this scope. */
  get refusal(): unknown {
    return this.signal.aborted ? this.signal.reason : new TransactionClosedError();
  }

  /** Starts the transaction and hands the session to the tenant, or to the system, until it ends. */
  async begin(
    isolation: IsolationLevel | undefined,
    settings: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.runner.startTransaction(isolation);
    const pairs = Object.entries(settings);
    const calls = pairs.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`);
    await this.runner.query(`SELECT ${calls.join(', ')}`, pairs.flat());
  }

  /** Ends the transaction with COMMIT and returns the hooks to run. */
  async commit(): Promise<readonly Hook[]> {
    await this.drain();
    this.open = false;
    // COMMIT of a transaction in which a statement failed "succeeds" by rolling back.
    const { command } = await this.client.query('COMMIT');
    if (command !== 'COMMIT') throw new TransactionAbortedError({ cause: this.firstFailure });
    return this.hooks;
  }

  /**
   * Ends the transaction with ROLLBACK, cancelling a statement still running.
   * @returns true when the connection may be used again.
   */
  async rollback(): Promise<boolean> {
    this.open = false;
    const running = this.inFlight.size > 0;
    if (running) {
      await cancelStatement(this.client);
      if (!(await this.settledInTime())) return false;
    }
    if (this.runner.isReleased) return false;
    try {
      await this.client.query('ROLLBACK');
    } catch {
      return false;
    }
    return !running;
  }

  /** Runs `work` between SAVEPOINT and RELEASE; a failure undoes only what it did. */
  nested<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const turn = this.nestedTail.then(async () => {
      if (!this.open) throw new TransactionClosedError();
      const outerHooks = this.hooks;
      const outerFailure = this.firstFailure;
      this.hooks = [];
      await this.runner.startTransaction();
      try {
        const result = await work(this.tx);
        await this.runner.commitTransaction().catch((error: unknown) => {
          if (errorCode(error) !== IN_FAILED_TRANSACTION) throw error;
          throw new TransactionAbortedError({ cause: this.firstFailure });
        });
        this.hooks = [...outerHooks, ...this.hooks];
        return result;
      } catch (error) {
        this.hooks = outerHooks;
        this.firstFailure = outerFailure;
        if (this.open) await this.runner.rollbackTransaction();
        throw error;
      }
    });
    this.nestedTail = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  private send(text: string, parameters?: unknown[], structured?: boolean): Promise<unknown> {
    if (!this.open) {
      return Promise.reject(this.refusal);
    }
    const startedAt = this.clock.monotonic();
    const control = TRANSACTION_CONTROL.test(text);
    if (!control) QueryCounter.note(text);
    const publish = (failed: boolean) => {
      if (control || !channels.database.hasSubscribers) return;
      channels.database.publish({
        kind: 'query',
        ...(this.tenantId && { tenantId: this.tenantId }),
        durationMs: this.clock.monotonic() - startedAt,
        failed,
      });
    };
    const statement = (
      this.execute as (text: string, parameters?: unknown[], structured?: boolean) => Promise<unknown>
    )(text, parameters, structured);
    const settled = statement.then(
      () => publish(false),
      (error) => {
        this.firstFailure ??= error;
        publish(true);
      },
    );
    this.inFlight.add(settled);
    void settled.then(() => this.inFlight.delete(settled));
    return statement;
  }

  private async drain(): Promise<void> {
    while (this.inFlight.size > 0) await Promise.all(this.inFlight);
  }

  private settledInTime(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.schedule(CANCEL_GRACE_MS, () => resolve(false));
      void this.drain().then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }
}

export type IsolationLevel = 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';
