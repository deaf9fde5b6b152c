import {
  type Clock,
  type Random,
  SystemClock,
  SystemRandom,
  type TenantDatabase,
  type TenantId,
} from '@sparkle/contracts';
import { errorCode } from '../core/connection-failure.js';
import type { Database, DatabaseDependencies, TransactionOptions } from '../core/database.service.js';
import { openDatabase } from '../core/open-database.js';
import type { PoolState } from '../core/pool-watch.js';
import type { Transaction } from '../core/transaction-scope.js';
import type { ResolvedDatabaseOptions } from '../database.options.js';
import { DatabaseUnreachableError, PoolTimeoutError, TenantConnectionsExhaustedError } from '../errors.js';
import type { TenantRole, TenantRoles } from './tenant-roles.js';

/** How long a change of tenants' roles may go unnoticed. */
const ROLES_FRESH_MS = 30_000;
/** A connection that a process keeps for nothing is missing elsewhere. */
const IDLE_MS = 100;
const TOO_MANY_CONNECTIONS = '53300';
const RETRY_BASE_MS = 20;
const RETRY_CAP_MS = 500;

interface OwnPool {
  readonly role: TenantRole;
  readonly database: Promise<Database>;
  /** Callers that have it now. */
  users: number;
  /** True when no new caller gets it: it closes once the last one is done. */
  retired: boolean;
}

/**
 * The `TenantDatabase` that gives each tenant with a role of its own (see {@link TenantRoles}) connections of
 * its own, logged in as that role; all other tenants share the pool of `shared`. The server counts a tenant's
 * connections over all processes, so none is kept idle for long. A changed or removed role is noticed within
 * 30 s; work that is under way goes on with what it has.
 */
export class TenantPools implements TenantDatabase {
  private readonly pools = new Map<TenantId, OwnPool>();
  /** Databases of pools that are open, retired ones included. */
  private readonly opened = new Set<Database>();
  private roles = new Map<TenantId, TenantRole>();
  private refreshedAt: number | undefined;
  private refreshing: Promise<void> | undefined;
  private readonly clock: Clock;
  private readonly random: Random;

  /** @param options those that `shared` was opened with. */
  constructor(
    private readonly shared: Database,
    private readonly tenantRoles: TenantRoles,
    private readonly options: ResolvedDatabaseOptions,
    private readonly dependencies: DatabaseDependencies = {},
  ) {
    this.clock = dependencies.clock ?? new SystemClock();
    this.random = dependencies.random ?? new SystemRandom();
  }

  /**
   * As `Database.withTenant`.
   * @throws TenantConnectionsExhaustedError when none of the tenant's own connections becomes free in time.
   */
  async withTenant<T>(
    tenantId: TenantId,
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    if (this.shared.inTransaction) return this.shared.withTenant(tenantId, work, options);
    const giveUpAt = this.clock.monotonic() + this.options.pool.acquireTimeoutMs;
    for (let attempt = 0; ; attempt++) {
      const own = await this.checkOut(tenantId);
      try {
        return await (own ? await own.database : this.shared).withTenant(tenantId, work, options);
      } catch (error) {
        if (own && error instanceof PoolTimeoutError) throw this.exhausted(error);
        // Other processes have the rest of the tenant's connections; the work has not begun.
        if (!isOutOfConnections(error)) throw error;
        if (this.clock.monotonic() >= giveUpAt) throw this.exhausted(error);
      } finally {
        if (own) {
          own.users -= 1;
          this.closeWhenUnused(own);
        }
      }
      const ceiling = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** attempt);
      await this.clock.sleep(this.random.next() * ceiling, options.signal);
    }
  }

  /** Closes the tenants' own connections; those of `shared` stay. */
  async close(): Promise<void> {
    const open = [...this.pools.values()];
    this.pools.clear();
    await Promise.all(open.map((pool) => this.closePool(pool)));
  }

  /** All tenants' own pools together. */
  get poolState(): PoolState {
    const total: PoolState = { size: 0, checkedOut: 0, overflow: 0, waiting: 0 };
    for (const { poolState } of this.opened) {
      total.size += poolState.size;
      total.checkedOut += poolState.checkedOut;
      total.overflow += poolState.overflow;
      total.waiting += poolState.waiting;
    }
    return total;
  }

  private exhausted(cause: unknown): TenantConnectionsExhaustedError {
    return new TenantConnectionsExhaustedError(this.options.pool.acquireTimeoutMs, { cause });
  }

  /** The tenant's pool, in use until `users` is lowered again. */
  private async checkOut(tenantId: TenantId): Promise<OwnPool | undefined> {
    await this.refresh();
    const role = this.roles.get(tenantId);
    if (!role) return undefined;
    const pool = this.pools.get(tenantId) ?? this.add(tenantId, role);
    pool.users += 1;
    return pool;
  }

  private add(tenantId: TenantId, role: TenantRole): OwnPool {
    const pool: OwnPool = { role, database: this.open(role), users: 0, retired: false };
    this.pools.set(tenantId, pool);
    // A pool that could not be opened is opened anew for the next caller.
    pool.database.catch(() => {
      if (this.pools.get(tenantId) === pool) this.pools.delete(tenantId);
    });
    return pool;
  }

  private async open({ tenantId, resources }: TenantRole): Promise<Database> {
    const { role, password } = await this.tenantRoles.credentials(tenantId);
    const url = new URL(this.options.url);
    url.username = role;
    url.password = password;
    const { pool } = this.options;
    const database = await openDatabase(
      {
        ...this.options,
        url: url.href,
        // They have the shared login; tenants' reads of replicas go through `shared`.
        replicas: [],
        pool: {
          ...pool,
          size: 0,
          overflow: Math.min(resources.connections, pool.size + pool.overflow),
          overflowIdleMs: IDLE_MS,
          statementTimeoutMs: resources.statementTimeoutMs,
        },
      },
      {
        ...this.dependencies,
        name: 'tenants',
        reportedPool: () => this.poolState,
        transactionsOf: this.shared,
      },
    );
    this.opened.add(database);
    return database;
  }

  /** Reads the roles when they were last read too long ago; callers at the same time share one reading. */
  private async refresh(): Promise<void> {
    if (this.refreshedAt !== undefined && this.clock.monotonic() - this.refreshedAt < ROLES_FRESH_MS) return;
    this.refreshing ??= this.readRoles().finally(() => {
      this.refreshing = undefined;
    });
    await this.refreshing;
  }

  private async readRoles(): Promise<void> {
    const roles = await this.tenantRoles.list();
    this.roles = new Map(roles.map((role) => [role.tenantId, role]));
    this.refreshedAt = this.clock.monotonic();
    for (const [tenantId, pool] of this.pools) {
      if (isSame(pool.role, this.roles.get(tenantId))) continue;
      this.pools.delete(tenantId);
      pool.retired = true;
      this.closeWhenUnused(pool);
    }
  }

  private closeWhenUnused(pool: OwnPool): void {
    if (!pool.retired || pool.users > 0) return;
    // Nobody waits for it, and a connection that does not close in order is gone with its socket.
    this.closePool(pool).catch(() => undefined);
  }

  private async closePool({ database }: OwnPool): Promise<void> {
    const opened = await database.catch(() => undefined);
    if (!opened) return;
    try {
      await opened.close();
    } finally {
      this.opened.delete(opened);
    }
  }
}

function isOutOfConnections(error: unknown): boolean {
  return error instanceof DatabaseUnreachableError && errorCode(error.cause) === TOO_MANY_CONNECTIONS;
}

function isSame(left: TenantRole, right: TenantRole | undefined): boolean {
  return right !== undefined && JSON.stringify(left.resources) === JSON.stringify(right.resources);
}
