import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Clock,
  channels,
  type Random,
  SystemClock,
  SystemRandom,
  type TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import type pg from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';
import type { PoolOptions } from '../database.options.js';
import {
  AfterCommitError,
  ConnectionLostError,
  LoaderScopeMissingError,
  NestedTenantError,
  PoolTimeoutError,
  PrivilegedRoleError,
  SchemaNotMigratedError,
  TooManyConnectionsError,
} from '../errors.js';
import { BatchLoaders } from '../loading/batch-loaders.js';
import type { ReadOptions, ReplicaSet } from '../replicas/replica-set.js';
import { CallTrace } from './call-origin.js';
import { cutConnection } from './cancel-request.js';
import {
  describeServer,
  errorCode,
  isConnectionLimit,
  isRetryable,
  toUnreachableError,
} from './connection-failure.js';
import type { DatabaseWarning } from './database-warning.js';
import { type PoolState, PoolWatch } from './pool-watch.js';
import { RepeatedQueryDetector } from './repeated-queries.js';
import { RequestScope } from './request-scope.js';
import { APPLICATION_ROLE, SCOPE_SETTING, TENANT_SETTING } from './tenant-isolation.js';
import {
  type IsolationLevel,
  type Transaction,
  TransactionScope,
  untilAborted,
} from './transaction-scope.js';

export interface TransactionOptions {
  /** Cancels the statement in progress, rolls back and rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How often to run the work again after a serialization failure or a deadlock. Default 3; the work must
   * not have effects outside of the database. Ignored in a nested call, where only the outermost retries.
   */
  retries?: number;
  /** Default: the server's, usually READ COMMITTED. Ignored in a nested call. */
  isolation?: IsolationLevel;
  /** Refuses writes with `ReadOnlyTransactionError`. Default false. Ignored in a nested call. */
  readOnly?: boolean;
  /**
   * Longest that one statement may take, in milliseconds; 0: no limit. Default: the pool's `statementTimeoutMs`.
   * Ignored in a nested call.
   */
  statementTimeoutMs?: number;
}

/** How a transaction on a replica is admitted. */
export interface TransactionAdmission {
  /** Expressions, with aliases, selected while the transaction begins. */
  readonly probe: string;
  /** Throws when what was probed does not admit the work; nothing of it has run then. */
  accept(row: Readonly<Record<string, unknown>>): void;
}

export interface DatabaseDependencies {
  clock?: Clock;
  random?: Random;
  /** Told what an operator or a developer should look at. Default: nobody is. */
  warn?: (warning: DatabaseWarning) => void;
  /** Names the pool in events, metrics and warnings. Default `primary`. */
  name?: string;
  /** What events and metrics show as the pool, where several share a name. Default: this one. */
  reportedPool?: () => PoolState;
  /** Warns when a request sends this many statements of one shape. Default: statements are not looked at. */
  repeatedQueryThreshold?: number;
  /** Another database of the application: a transaction of either is joined, and refused, by both. */
  transactionsOf?: Database;
}

const DEFAULT_RETRIES = 3;
const BACKOFF_BASE_MS = 20;
const BACKOFF_CAP_MS = 1_000;
const POOL_TIMER_LEAD_MS = 10;
/** Pause before asking a server again that has no connection left. */
const FULL_SERVER_PAUSE_MS = 200;

interface RequestState {
  readonly loaders: Map<TenantId, BatchLoaders>;
  writtenAt?: number;
}

/** What pg's pool offers and TypeORM passes through untyped. */
type DriverPool = pg.Pool & { options: { max: number } };

/**
 * The database of all tenants. Statements run in {@link withTenant}, where row-level security shows one
 * tenant's rows only, or, for migrations and maintenance, in {@link asSystem}.
 */
export class Database implements TenantDatabase {
  private readonly scopes: AsyncLocalStorage<TransactionScope>;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly name: string;
  private readonly driverPool: DriverPool;
  private readonly watch: PoolWatch;
  private readonly detector: RepeatedQueryDetector | undefined;
  private replicas: ReplicaSet | undefined;
  /** When each pooled connection was last known to work. */
  private readonly lastAnswers = new WeakMap<pg.Client, number>();
  /** Connections that have not answered since are as good as dead: one of their age was found silent. */
  private distrustedBefore = Number.NEGATIVE_INFINITY;

  constructor(
    readonly dataSource: DataSource,
    private readonly pool: PoolOptions,
    dependencies: DatabaseDependencies = {},
  ) {
    this.scopes = dependencies.transactionsOf?.scopes ?? new AsyncLocalStorage<TransactionScope>();
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
    this.name = dependencies.name ?? 'primary';
    this.driverPool = (dataSource.driver as unknown as { master: DriverPool }).master;
    const warn = dependencies.warn ?? (() => undefined);
    this.watch = new PoolWatch(
      this.clock,
      {
        name: this.name,
        capacity: pool.size + pool.overflow,
        heldWarningMs: pool.heldWarningMs,
        saturationWarningRatio: pool.saturationWarningRatio,
      },
      () => this.poolState,
      dependencies.reportedPool ?? (() => this.poolState),
      warn,
    );
    if (dependencies.repeatedQueryThreshold !== undefined)
      this.detector = new RepeatedQueryDetector(dependencies.repeatedQueryThreshold, warn);
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const)
      this.driverPool.on(event, () => this.watch.poolChanged());
  }

  /**
   * Runs `work` in one transaction for `tenantId`: commits when it returns, rolls back when it throws.
   *
   * The transaction runs as the role `sparkle_app` with the tenant set for row-level security, whatever role
   * the login is. Called inside a transaction of the same tenant, it becomes a savepoint of that one.
   *
   * @throws NestedTenantError inside a transaction of another tenant or of the system.
   * @throws PoolTimeoutError when no connection becomes free in time.
   * @throws DatabaseUnreachableError when a connection cannot be opened.
   * @throws TooManyConnectionsError when the server has no connection left for as long.
   * @throws SchemaNotMigratedError when the application role does not exist.
   * @throws ConnectionLostError when the connection broke before COMMIT: nothing was kept.
   * @throws ServerSilentError when the server stopped answering before COMMIT: nothing was kept.
   * @throws CommitOutcomeUnknownError when the connection broke, or the server fell silent, during COMMIT.
   * @throws StatementTimeoutError, StorageFullError, TempFileLimitError, ReadOnlyTransactionError for a statement
   * that the server refused for these reasons.
   * @throws TransactionAbortedError when `work` returns although a statement had failed.
   * @throws AfterCommitError when the transaction is committed and a hook failed.
   */
  withTenant<T>(
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.run(tenantId, work, options, new CallTrace(this.withTenant));
  }

  /**
   * Runs `work`, which only reads, in one transaction for `tenantId` on a replica that is recent enough, or else
   * on the primary. A replica that fails before `work` has returned is left alone for a while, and the primary
   * runs `work` again. Inside of a transaction it joins that one. Without replicas the primary serves.
   *
   * @throws ReadOnlyTransactionError when `work` writes.
   * @throws WalPositionInvalidError when `options.after` is no position.
   * Throws what {@link withTenant} throws, too.
   */
  readTenant<T>(
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: ReadOptions = {},
  ): Promise<T> {
    const trace = new CallTrace(this.readTenant);
    const { freshness, after, ...rest } = options;
    const onPrimary = () => this.run(tenantId, work, { ...rest, readOnly: true }, trace);
    if (!this.replicas || this.inTransaction) return onPrimary();
    return this.replicas.read(
      (replica, admission) =>
        replica.run(tenantId, work, { ...rest, readOnly: true, retries: 0 }, trace, admission),
      onPrimary,
      { ...(freshness && { freshness }), ...(after && { after }), writtenAt: this.writtenAt },
    );
  }

  /**
   * The position in the write-ahead log that covers everything committed so far. Handed to `readTenant` as `after`
   * in another request or process, it makes a replica that has not come so far leave the read to the primary.
   */
  async position(): Promise<string> {
    const rows = await this.asSystem(
      (tx) => tx.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn'),
      { readOnly: true },
    );
    return rows[0]!.lsn;
  }

  /** Lets `replicas` serve {@link readTenant}. */
  serveReadsFrom(replicas: ReplicaSet): void {
    this.replicas = replicas;
  }

  /**
   * Loaders that read what many places of one request ask for together, for one tenant. They belong to the
   * transaction (or nested scope) in progress, and see what it wrote; or else to the request, see
   * {@link RequestScope}. Nobody else gets to see what they have loaded.
   * @throws LoaderScopeMissingError where there is neither.
   * @throws NestedTenantError inside a transaction of another tenant or of the system.
   */
  loaders(tenantId: TenantId): BatchLoaders {
    const current = this.scopes.getStore();
    if (current?.phase === 'abandoned') throw current.refusal;
    if (current?.phase === 'open') {
      if (current.tenantId !== tenantId) throw new NestedTenantError();
      return current.keep(BatchLoaders, () => new BatchLoaders((load) => load(current.tx)));
    }
    const request = RequestScope.current;
    if (!request) throw new LoaderScopeMissingError();
    const { loaders } = this.stateOf(request);
    const known = loaders.get(tenantId);
    if (known) return known;
    const made = new BatchLoaders((load) => this.withTenant(tenantId, load));
    loaders.set(tenantId, made);
    return made;
  }

  /**
   * Runs `work` in one transaction over the rows of all tenants, as the login role. For migrations, workers
   * and operators only; never with input of a tenant. Unless the login is a superuser it must own the schema.
   * Throws what {@link withTenant} throws.
   */
  asSystem<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return this.run(undefined, work, options, new CallTrace(this.asSystem));
  }

  /**
   * Makes sure that row-level security binds the login role.
   * @throws PrivilegedRoleError when the role is a superuser or has BYPASSRLS.
   */
  async assertUnprivileged(): Promise<void> {
    const [role] = (await this.dataSource.query(
      'SELECT rolname AS name, rolsuper AS super, rolbypassrls AS bypass FROM pg_roles WHERE rolname = session_user',
    )) as { name: string; super: boolean; bypass: boolean }[];
    if (role?.super) throw new PrivilegedRoleError(role.name, 'SUPERUSER');
    if (role?.bypass) throw new PrivilegedRoleError(role.name, 'BYPASSRLS');
  }

  /** True inside of work of {@link withTenant} or {@link asSystem}. */
  get inTransaction(): boolean {
    const current = this.scopes.getStore();
    return current !== undefined && current.phase !== 'ended';
  }

  /** The pool at this moment. */
  get poolState(): PoolState {
    const { totalCount, idleCount, waitingCount } = this.driverPool;
    return {
      size: totalCount,
      checkedOut: totalCount - idleCount,
      overflow: Math.max(0, totalCount - this.pool.size),
      waiting: waitingCount,
    };
  }

  /** Closes every connection; transactions in progress are rolled back and their callers rejected. */
  async close(): Promise<void> {
    await this.replicas?.close();
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  private async run<T>(
    tenantId: TenantId | undefined,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions,
    trace: CallTrace,
    admission?: TransactionAdmission,
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const current = this.scopes.getStore();
    // Work that outlives its aborted transaction must not go on in a new one and commit half of itself.
    if (current?.phase === 'abandoned') throw current.refusal;
    if (current?.phase === 'open') {
      if (current.tenantId !== tenantId) throw new NestedTenantError();
      return current.nested(work, options.signal);
    }
    const retries = options.retries ?? DEFAULT_RETRIES;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.attempt(tenantId, work, options, trace, admission);
      } catch (error) {
        if (attempt >= retries || !isRetryable(error) || error instanceof AfterCommitError) throw error;
        publishTransaction(tenantId, 'retry', 0);
      }
      // Full jitter: the transactions that collided must not meet again.
      const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
      await this.clock.sleep(this.random.next() * ceiling, options.signal);
    }
  }

  private async attempt<T>(
    tenantId: TenantId | undefined,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions,
    trace: CallTrace,
    admission: TransactionAdmission | undefined,
  ): Promise<T> {
    const { signal, readOnly = false } = options;
    const { scope, end } = await this.open(tenantId, options, trace, admission);
    const startedAt = this.clock.monotonic();
    let result: T;
    let hooks: Awaited<ReturnType<TransactionScope['commit']>>;
    try {
      result = await untilAborted(scope.watch(this.scopes.run(scope, async () => work(scope.tx))), signal);
      hooks = await scope.commit(readOnly);
    } catch (error) {
      await end(await scope.rollback());
      publishTransaction(tenantId, 'rollback', this.clock.monotonic() - startedAt);
      throw error;
    }
    await end(true);
    if (!readOnly) this.noteWrite();
    publishTransaction(tenantId, 'commit', this.clock.monotonic() - startedAt);
    await this.scopes.exit(() => runHooks(hooks));
    return result;
  }

  /**
   * Checks a connection out and begins the transaction on it. A pooled connection may have died unnoticed;
   * BEGIN finds out at no extra round trip, and since nothing ran yet the next connection may serve instead.
   * One that does not answer at all costs `livenessTimeoutMs`, once: others that have been idle for as long are
   * not asked. All of it together takes no longer than `acquireTimeoutMs`.
   */
  private async open(
    tenantId: TenantId | undefined,
    options: TransactionOptions,
    trace: CallTrace,
    admission: TransactionAdmission | undefined,
  ): Promise<{ scope: TransactionScope; end: (reusable: boolean) => Promise<void> }> {
    const { signal, isolation } = options;
    const deadline = this.clock.monotonic() + this.pool.acquireTimeoutMs;
    const statementTimeoutMs = options.statementTimeoutMs ?? this.pool.statementTimeoutMs;
    let failures = 0;
    let refusal: unknown;
    for (;;) {
      const checkedOut = await this.checkOut(deadline, signal, trace, tenantId).catch(
        async (error: unknown) => {
          if (error instanceof AcquireTimeout) throw this.acquireTimeout(error, refusal);
          if (!isConnectionLimit(error)) throw error;
          refusal = error;
          // Our own connections in use may come free, or somebody else's.
          const pause = Math.min(
            this.random.next() * FULL_SERVER_PAUSE_MS,
            deadline - this.clock.monotonic(),
          );
          if (pause <= 0) throw this.acquireTimeout(error, refusal);
          await this.clock.sleep(pause, signal);
        },
      );
      if (!checkedOut) continue;
      const { runner, client, end } = checkedOut;
      const scope = new TransactionScope(
        runner,
        client,
        this.clock,
        tenantId,
        signal ?? new AbortController().signal,
        trace,
        this.detector,
      );
      const askedAt = this.clock.monotonic();
      try {
        const probed = await scope.begin({
          isolation,
          settings: this.settingsOf(tenantId, options),
          probe: admission?.probe,
          beginSilenceMs: Math.max(1, Math.min(this.pool.livenessTimeoutMs, deadline - askedAt)),
          silenceMs: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + this.pool.answerGraceMs,
        });
        this.lastAnswers.set(client, this.clock.monotonic());
        admission?.accept(probed);
        signal?.throwIfAborted();
        return { scope, end };
      } catch (error) {
        if (scope.silent) this.distrustedBefore = Math.max(this.distrustedBefore, askedAt);
        await end(await scope.rollback());
        if (scope.silent || error instanceof ConnectionLostError) {
          failures += 1;
          if (failures <= this.driverPool.options.max && this.clock.monotonic() < deadline) continue;
          throw toUnreachableError(this.url, error);
        }
        if (errorCode(error) === '22023') throw new SchemaNotMigratedError({ cause: error });
        throw error;
      }
    }
  }

  /** Settings that hold until the transaction ends. */
  private settingsOf(tenantId: TenantId | undefined, options: TransactionOptions): Record<string, string> {
    return {
      ...(tenantId === undefined
        ? { [SCOPE_SETTING]: 'system' }
        : { role: APPLICATION_ROLE, [TENANT_SETTING]: tenantId }),
      ...(options.readOnly && { transaction_read_only: 'on' }),
      ...(options.statementTimeoutMs !== undefined && {
        statement_timeout: String(options.statementTimeoutMs),
      }),
    };
  }

  /** A connection, or undefined when the one the pool gave is not worth asking. */
  private async checkOut(
    deadline: number,
    signal: AbortSignal | undefined,
    trace: CallTrace,
    tenantId: TenantId | undefined,
  ): Promise<
    { runner: QueryRunner; client: pg.Client; end: (reusable: boolean) => Promise<void> } | undefined
  > {
    const runner = this.dataSource.createQueryRunner();
    const connecting = runner.connect() as Promise<pg.Client>;
    let client: pg.Client;
    try {
      client = await this.inTime(connecting, deadline, signal);
    } catch (error) {
      void connecting.then(
        () => runner.release(),
        () => undefined,
      );
      if (signal?.aborted) throw error;
      if (isPoolTimeout(error)) throw new AcquireTimeout('', { cause: error });
      throw error instanceof AcquireTimeout || isConnectionLimit(error)
        ? error
        : toUnreachableError(this.url, error);
    }
    const held = this.watch.hold(trace, tenantId);
    const end = async (reusable: boolean) => {
      held();
      if (reusable) this.lastAnswers.set(client, this.clock.monotonic());
      // A client that has been ended is dropped by the pool on release.
      else cutConnection(client);
      await runner.release();
    };
    const answeredAt = this.lastAnswers.get(client);
    if (answeredAt === undefined || answeredAt >= this.distrustedBefore) return { runner, client, end };
    await end(false);
    return undefined;
  }

  /** Settles with `connecting`, unless the deadline passes or the caller leaves. */
  private async inTime(
    connecting: Promise<pg.Client>,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<pg.Client> {
    // Upon a first attempt the pool's own timer comes first, which takes the waiter out of its queue.
    const remaining = Math.max(0, deadline - this.clock.monotonic()) + POOL_TIMER_LEAD_MS;
    let late!: (error: Error) => void;
    const lateness = new Promise<never>((_, reject) => {
      late = reject;
    });
    const timer = this.clock.schedule(remaining, () => late(new AcquireTimeout()));
    try {
      return await Promise.race([untilAborted(connecting, signal), lateness]);
    } finally {
      timer.cancel();
    }
  }

  /** @param refusal that of a server which had no connection left, if that was met on the way. */
  private acquireTimeout(cause: unknown, refusal: unknown): Error {
    const { max } = this.driverPool.options;
    const { acquireTimeoutMs } = this.pool;
    if (refusal) return new TooManyConnectionsError(acquireTimeoutMs, { cause: refusal });
    if (this.poolState.checkedOut < max)
      return toUnreachableError(this.url, new Error(`no answer within ${acquireTimeoutMs} ms`, { cause }));
    channels.database.publish({ kind: 'pool_timeout', pool: this.name });
    return new PoolTimeoutError(acquireTimeoutMs, max, { cause });
  }

  /** When the request in effect last committed something here. */
  private get writtenAt(): number | undefined {
    const request = RequestScope.current;
    return request && this.stateOf(request).writtenAt;
  }

  private noteWrite(): void {
    const request = RequestScope.current;
    if (request) this.stateOf(request).writtenAt = this.clock.monotonic();
  }

  /** What is kept for a request; databases that share transactions share it. */
  private stateOf(request: RequestScope): RequestState {
    return request.keep(this.scopes, () => ({ loaders: new Map() }));
  }

  private get url(): string {
    return (this.dataSource.options as { url: string }).url;
  }

  /** `host:port/database as user`. */
  get server(): string {
    return describeServer(this.url);
  }
}

/** The acquire timeout has passed. */
class AcquireTimeout extends Error {}

/** The same, found out by pg's pool. */
function isPoolTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'timeout exceeded when trying to connect';
}

function publishTransaction(
  tenantId: TenantId | undefined,
  outcome: 'commit' | 'rollback' | 'retry',
  durationMs: number,
): void {
  channels.database.publish({ kind: 'transaction', ...(tenantId && { tenantId }), outcome, durationMs });
}

async function runHooks(hooks: readonly (() => void | Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const hook of hooks) {
    try {
      await hook();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AfterCommitError(failures);
}
