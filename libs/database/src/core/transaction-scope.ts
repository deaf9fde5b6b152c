import { AsyncLocalStorage } from 'node:async_hooks';
import { type Clock, channels, type SqlClient, type TenantId } from '@sparkle/contracts';
import type pg from 'pg';
import type { EntityManager, QueryRunner } from 'typeorm';
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  ServerSilentError,
  TransactionAbortedError,
  TransactionClosedError,
} from '../errors.js';
import { StatementCapture } from '../indexes/statement-capture.js';
import type { CallTrace } from './call-origin.js';
import { cancelStatement } from './cancel-request.js';
import { errorCode, toStatementError } from './connection-failure.js';
import { QueryCounter } from './query-counter.js';
import type { RepeatedQueryDetector } from './repeated-queries.js';
import { SilenceWatch } from './silence-watch.js';

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

/**
 * The outermost transaction, or one of the scopes nested in it. A connection has one stack of savepoints, so
 * while a nested scope is open its parent's own statements wait: inside of the savepoint they would be undone
 * with it.
 */
interface Level {
  readonly scope: TransactionScope;
  open: boolean;
  /** Why statements are refused once the level is closed, where there is more to say than that. */
  reason?: unknown;
  hooks: Hook[];
  firstFailure?: unknown;
  /** Nested scopes that run or wait for their turn. */
  children: number;
  lastChild: Promise<void>;
  /** What is kept for as long as the level is open. */
  readonly kept: Map<object, unknown>;
}

/** The level that the running code belongs to. */
const levels = new AsyncLocalStorage<Level>();

const TRANSACTION_CONTROL =
  /^\s*(START TRANSACTION|SET TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT|SELECT set_config)\b/;

const IN_FAILED_TRANSACTION = '25P02';

/** COMMIT was not sent when the client refuses it with one of these. */
const NOT_SENT = /is not queryable|Query runner already released/;

/** How long a cancelled statement, and then ROLLBACK, may take before the connection is cut. */
const CANCEL_GRACE_MS = 5_000;

export interface BeginOptions {
  readonly isolation: IsolationLevel | undefined;
  /** Settings by name, valid until the transaction ends. */
  readonly settings: Readonly<Record<string, string>>;
  /** Expressions to select along with the settings, with their aliases. */
  readonly probe?: string | undefined;
  /** Silence of the server that is borne, in milliseconds: while beginning, and afterwards (0: any). */
  readonly beginSilenceMs: number;
  readonly silenceMs: number;
}

/**
 * One transaction on one connection. Every statement, TypeORM's included, passes {@link send}, so that once
 * the scope is closed nothing can reach the connection any more: a statement that slipped behind ROLLBACK
 * would run outside of the transaction, as the login role and without a tenant.
 */
export class TransactionScope {
  readonly tx: Transaction;
  private readonly inFlight = new Set<Promise<unknown>>();
  private readonly execute: QueryRunner['query'];
  private readonly root: Level = this.makeLevel();
  private readonly silence: SilenceWatch;
  private working = true;
  private lost: ConnectionLostError | ServerSilentError | undefined;

  constructor(
    private readonly runner: QueryRunner,
    private readonly client: pg.Client,
    private readonly clock: Clock,
    readonly tenantId: TenantId | undefined,
    readonly signal: AbortSignal,
    private readonly openedBy: CallTrace,
    private readonly detector: RepeatedQueryDetector | undefined,
  ) {
    this.silence = new SilenceWatch(client, clock);
    this.execute = runner.query.bind(runner) as QueryRunner['query'];
    const send = (text: string, parameters?: unknown[], structured?: boolean) =>
      this.send(text, parameters, structured, send);
    runner.query = send as QueryRunner['query'];
    const query = async <Row extends object>(text: string, parameters?: readonly unknown[]) =>
      (
        (await this.send(text, parameters && [...parameters], true, query)) as {
          records: Row[];
        }
      ).records;
    this.tx = {
      query,
      manager: runner.manager,
      signal,
      afterCommit: (hook) => {
        const level = this.level;
        if (!level.open) throw new TransactionClosedError();
        level.hooks.push(hook);
      },
    };
  }

  /** `abandoned`: rolled back while its work is still going on, because the caller aborted. */
  get phase(): 'open' | 'abandoned' | 'ended' {
    if (this.root.open) return 'open';
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

  /** True when the server was given up for its silence. */
  get silent(): boolean {
    return this.silence.silentMs !== undefined;
  }

  /** What `owner` keeps for the transaction, or for the nested scope, that the running code belongs to. */
  keep<T>(owner: object, make: () => T): T {
    const { kept } = this.level;
    if (!kept.has(owner)) kept.set(owner, make());
    return kept.get(owner) as T;
  }

  /** Starts the transaction, hands the session to the tenant or the system until it ends, and returns the probe. */
  async begin(options: BeginOptions): Promise<Record<string, unknown>> {
    this.silence.limitMs = options.beginSilenceMs;
    await this.runner.startTransaction(options.isolation);
    const pairs = Object.entries(options.settings);
    const selected = pairs.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`);
    if (options.probe) selected.push(options.probe);
    const [row] = (await this.runner.query(`SELECT ${selected.join(', ')}`, pairs.flat())) as Record<
      string,
      unknown
    >[];
    this.silence.limitMs = options.silenceMs;
    return row ?? {};
  }

  /**
   * Ends the transaction with COMMIT and returns the hooks to run.
   * @param readOnly that nothing was written, so that losing the answer loses nothing.
   */
  async commit(readOnly: boolean): Promise<readonly Hook[]> {
    await this.root.lastChild;
    await this.drain();
    this.root.open = false;
    if (this.runner.isReleased) throw this.lost ?? new ConnectionLostError();
    // COMMIT of a transaction in which a statement failed "succeeds" by rolling back.
    const { command } = await this.silence.expect(this.client.query('COMMIT')).catch((error: unknown) => {
      const known = this.translated(error);
      const reached = !(error instanceof Error && NOT_SENT.test(error.message));
      if (known === this.lost && reached && !readOnly) throw new CommitOutcomeUnknownError({ cause: known });
      throw known;
    });
    if (command !== 'COMMIT') throw new TransactionAbortedError({ cause: this.root.firstFailure });
    return this.root.hooks;
  }

  /**
   * Ends the transaction with ROLLBACK, cancelling a statement still running.
   * @returns true when the connection may be used again.
   */
  async rollback(): Promise<boolean> {
    this.root.open = false;
    if (this.silent || this.runner.isReleased) return false;
    const running = this.inFlight.size > 0;
    if (running && !(await this.cancelled())) return false;
    if (this.runner.isReleased) return false;
    try {
      this.silence.limitMs = CANCEL_GRACE_MS;
      await this.silence.expect(this.client.query('ROLLBACK'));
    } catch {
      return false;
    }
    return !running;
  }

  /**
   * Runs `work` between SAVEPOINT and RELEASE; a failure undoes only what it did. When `signal` aborts, work
   * that goes on is refused its statements.
   */
  nested<T>(work: (tx: Transaction) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const parent = this.level;
    if (!parent.open) return Promise.reject(parent.reason ?? this.refusal);
    parent.children += 1;
    const turn = parent.lastChild.then(() => this.runNested(parent, work, signal));
    const ended = () => {
      parent.children -= 1;
    };
    parent.lastChild = turn.then(ended, ended);
    return turn;
  }

  private async runNested<T>(
    parent: Level,
    work: (tx: Transaction) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    if (!parent.open) throw parent.reason ?? this.refusal;
    signal?.throwIfAborted();
    const level = this.makeLevel();
    await this.runner.startTransaction();
    try {
      const result = await untilAborted(
        levels.run(level, async () => work(this.tx)),
        signal,
      );
      await level.lastChild;
      level.open = false;
      await this.runner.commitTransaction().catch((error: unknown) => {
        if (errorCode(error) !== IN_FAILED_TRANSACTION) throw error;
        throw new TransactionAbortedError({ cause: level.firstFailure });
      });
      parent.hooks.push(...level.hooks);
      return result;
    } catch (error) {
      level.open = false;
      if (signal?.aborted) level.reason = signal.reason;
      if (this.root.open)
        await level.lastChild
          .then(() => this.runner.rollbackTransaction())
          .catch((failure: unknown) => {
            // With the connection the whole transaction is gone.
            if (!this.lost) throw failure;
          });
      throw error;
    }
  }

  private get level(): Level {
    const current = levels.getStore();
    return current?.scope === this ? current : this.root;
  }

  private makeLevel(): Level {
    return { scope: this, open: true, hooks: [], children: 0, lastChild: Promise.resolve(), kept: new Map() };
  }

  private send(
    text: string,
    parameters: unknown[] | undefined,
    structured: boolean | undefined,
    sentBy: (...args: never[]) => unknown,
  ): Promise<unknown> {
    const { level } = this;
    if (!this.root.open) return Promise.reject(this.lost ?? this.refusal);
    if (!level.open) return Promise.reject(level.reason ?? new TransactionClosedError());
    const control = TRANSACTION_CONTROL.test(text);
    if (!control) {
      if (level.children > 0)
        return level.lastChild.then(() => this.send(text, parameters, structured, sentBy));
      QueryCounter.note(text);
      this.detector?.note(text, this.tenantId, this, sentBy, this.openedBy);
    }
    const startedAt = this.clock.monotonic();
    const publish = (failed: boolean) => {
      if (control || !channels.database.hasSubscribers) return;
      channels.database.publish({
        kind: 'query',
        ...(this.tenantId && { tenantId: this.tenantId }),
        durationMs: this.clock.monotonic() - startedAt,
        failed,
      });
    };
    const statement = this.silence
      .expect(
        StatementCapture.around(this.client, { text, parameters, tenantId: this.tenantId, control }, () =>
          (this.execute as (text: string, parameters?: unknown[], structured?: boolean) => Promise<unknown>)(
            text,
            parameters,
            structured,
          ),
        ),
      )
      .catch((error: unknown) => {
        throw this.translated(error);
      });
    const settled = statement.then(
      () => publish(false),
      (error) => {
        level.firstFailure ??= error;
        publish(true);
      },
    );
    this.inFlight.add(settled);
    void settled.then(() => this.inFlight.delete(settled));
    return statement;
  }

  /** The failure as callers get to see it; one lost connection is one error. */
  private translated(error: unknown): unknown {
    const known = toStatementError(error);
    if (!(known instanceof ConnectionLostError)) return known;
    const { silentMs } = this.silence;
    this.lost ??= silentMs === undefined ? known : new ServerSilentError(silentMs, { cause: error });
    return this.lost;
  }

  private async drain(): Promise<void> {
    while (this.inFlight.size > 0) await Promise.all(this.inFlight);
  }

  /** Asks for the end of what is running and waits for it, but not for longer than the grace time. */
  private async cancelled(): Promise<boolean> {
    const grace = new AbortController();
    const timer = this.clock.schedule(CANCEL_GRACE_MS, () => grace.abort());
    try {
      await cancelStatement(this.client, grace.signal);
      await untilAborted(this.drain(), grace.signal);
      return true;
    } catch {
      return false;
    } finally {
      timer.cancel();
    }
  }
}

/** Settles with `promise`, or rejects with the signal's reason as soon as it aborts. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

export type IsolationLevel = 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';
