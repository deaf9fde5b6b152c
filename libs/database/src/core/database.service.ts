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
  NestedTenantError,
  PoolTimeoutError,
  PrivilegedRoleError,
  SchemaNotMigratedError,
} from '../errors.js';
import {
  describeServer,
  errorCode,
  isConnectionFailure,
  isRetryable,
  toUnreachableError,
} from './connection-failure.js';
import { APPLICATION_ROLE, SCOPE_SETTING, TENANT_SETTING } from './tenant-isolation.js';
import { type IsolationLevel, type Transaction, TransactionScope } from './transaction-scope.js';

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
}

export interface DatabaseDependencies {
  clock?: Clock;
  random?: Random;
  /** Another database of the application: a transaction of either is joined, and refused, by both. */
  transactionsOf?: Database;
}

/** State of the pool at one moment. */
export interface PoolState {
  /** Open connections, idle ones included. */
  size: number;
  checkedOut: number;
  /** Open connections above the configured size. */
  overflow: number;
  /** Callers waiting for a connection. */
  waiting: number;
}

const DEFAULT_RETRIES = 3;
const BACKOFF_BASE_MS = 20;
const BACKOFF_CAP_MS = 1_000;

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

  constructor(
    readonly dataSource: DataSource,
    private readonly pool: PoolOptions,
    dependencies: DatabaseDependencies = {},
  ) {
    this.scopes = dependencies.transactionsOf?.scopes ?? new AsyncLocalStorage<TransactionScope>();
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const)
      this.driverPool.on(event, () => this.publishPool());
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
   * @throws SchemaNotMigratedError when the application role does not exist.
   * @throws TransactionAbortedError when `work` returns although a statement had failed.
   * @throws AfterCommitError when the transaction is committed and a hook failed.
   */
  withTenant<T>(
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const settings = { role: APPLICATION_ROLE, [TENANT_SETTING]: tenantId };
    return this.run(tenantId, settings, work, options);
  }

  /**
   * Runs `work` in one transaction over the rows of all tenants, as the login role. For migrations, workers
   * and operators only; never with input of a tenant. Unless the login is a superuser it must own the schema.
   * Throws what {@link withTenant} throws.
   */
  asSystem<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return this.run(undefined, { [SCOPE_SETTING]: 'system' }, work, options);
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
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  private get driverPool(): DriverPool {
    return (this.dataSource.driver as unknown as { master: DriverPool }).master;
  }

  private async run<T>(
    tenantId: TenantId | undefined,
    settings: Readonly<Record<string, string>>,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions,
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const current = this.scopes.getStore();
    // Work that outlives its aborted transaction must not go on in a new one and commit half of itself.
    if (current?.phase === 'abandoned') throw current.refusal;
    if (current?.phase === 'open') {
      if (current.tenantId !== tenantId) throw new NestedTenantError();
      return current.nested((tx) => untilAborted(work(tx), options.signal));
    }
    const retries = options.retries ?? DEFAULT_RETRIES;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.attempt(tenantId, settings, work, options);
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
    settings: Readonly<Record<string, string>>,
    work: (tx: Transaction) => Promise<T>,
    { signal, isolation }: TransactionOptions,
  ): Promise<T> {
    const origin = channels.database.hasSubscribers ? callOrigin() : undefined;
    const { scope, release } = await this.open(tenantId, settings, isolation, signal);
    const startedAt = this.clock.monotonic();
    const heldTimer = this.clock.schedule(this.pool.heldWarningMs, () =>
      channels.database.publish({
        kind: 'connection_held',
        heldMs: this.clock.monotonic() - startedAt,
        ...(origin && { origin }),
      }),
    );
    const finish = async (reusable: boolean) => {
      heldTimer.cancel();
      await release(reusable);
      channels.database.publish({ kind: 'connection_held', heldMs: this.clock.monotonic() - startedAt });
    };
    let result: T;
    let hooks: Awaited<ReturnType<TransactionScope['commit']>>;
    try {
      result = await untilAborted(scope.watch(this.scopes.run(scope, async () => work(scope.tx))), signal);
      hooks = await scope.commit();
    } catch (error) {
      await finish(await scope.rollback());
      publishTransaction(tenantId, 'rollback', this.clock.monotonic() - startedAt);
      throw error;
    }
    await finish(true);
    publishTransaction(tenantId, 'commit', this.clock.monotonic() - startedAt);
    await this.scopes.exit(() => runHooks(hooks));
    return result;
  }

  /**
   * Checks a connection out and begins the transaction on it. A pooled connection may have died unnoticed;
   * BEGIN finds out at no extra round trip, and since nothing ran yet the next connection may serve instead.
   */
  private async open(
    tenantId: TenantId | undefined,
    settings: Readonly<Record<string, string>>,
    isolation: IsolationLevel | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ scope: TransactionScope; release: (reusable: boolean) => Promise<void> }> {
    const attempts = this.pool.size + this.pool.overflow + 1;
    for (let attempt = 1; ; attempt++) {
      const runner = this.dataSource.createQueryRunner();
      const client = await this.checkOut(runner, signal);
      const release = async (reusable: boolean) => {
        // A client that has been ended is dropped by the pool on release.
        if (!reusable) void client.end().catch(() => undefined);
        await runner.release();
      };
      const scope = new TransactionScope(
        runner,
        client,
        this.clock,
        tenantId,
        signal ?? new AbortController().signal,
      );
      try {
        await scope.begin(isolation, settings);
        signal?.throwIfAborted();
        return { scope, release };
      } catch (error) {
        await release(await scope.rollback());
        if (isConnectionFailure(error)) {
          if (attempt < attempts) continue;
          throw toUnreachableError(this.url, error);
        }
        if (errorCode(error) === '22023') throw new SchemaNotMigratedError({ cause: error });
        throw error;
      }
    }
  }

  private async checkOut(runner: QueryRunner, signal: AbortSignal | undefined): Promise<pg.Client> {
    const connecting = runner.connect() as Promise<pg.Client>;
    try {
      return await untilAborted(connecting, signal);
    } catch (error) {
      if (signal?.aborted) {
        void connecting.then(
          () => runner.release(),
          () => undefined,
        );
        throw error;
      }
      if (error instanceof Error && error.message === 'timeout exceeded when trying to connect') {
        channels.database.publish({ kind: 'pool_timeout' });
        throw new PoolTimeoutError(this.pool.acquireTimeoutMs, this.driverPool.options.max, { cause: error });
      }
      throw toUnreachableError(this.url, error);
    }
  }

  private get url(): string {
    return (this.dataSource.options as { url: string }).url;
  }

  /** `host:port/database as user`. */
  get server(): string {
    return describeServer(this.url);
  }

  private publishPool(): void {
    if (channels.database.hasSubscribers) channels.database.publish({ kind: 'pool', ...this.poolState });
  }
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

/** Settles with `promise`, or rejects with the signal's reason as soon as it aborts. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** The first caller outside of this library, as `function (file:line:column)`. */
function callOrigin(): string | undefined {
  const frames = new Error().stack?.split('\n').slice(1) ?? [];
  return frames
    .find((frame) => !frame.includes('database.service'))
    ?.trim()
    .replace(/^at /, '');
}
