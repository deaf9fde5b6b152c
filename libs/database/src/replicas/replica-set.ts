import { AsyncLocalStorage } from 'node:async_hooks';
import { type Clock, channels, type Random } from '@sparkle/contracts';
import { isConnectionLimit, isRetryable } from '../core/connection-failure.js';
import type { Database, TransactionAdmission, TransactionOptions } from '../core/database.service.js';
import type { DatabaseWarning } from '../core/database-warning.js';
import type { ReplicaOptions } from '../database.options.js';
import {
  ConnectionLostError,
  DatabaseUnreachableError,
  PoolTimeoutError,
  SchemaNotMigratedError,
  ServerSilentError,
  TooManyConnectionsError,
} from '../errors.js';
import type { PrimaryPositions } from './primary-positions.js';
import { parseWalPosition } from './wal-position.js';

export interface ReadOptions extends Omit<TransactionOptions, 'readOnly' | 'isolation'> {
  /**
   * `recent` (default): data at most `maxLagMs` old that includes what this request has committed before (see
   * `RequestScope`). `any`: whatever a replica has, also while the primary is away. `primary`: the primary's.
   */
  freshness?: 'recent' | 'any' | 'primary';
  /** Position from `Database.position` that the data must include. */
  after?: string;
}

/** A replica, and how to open its connections when they are first needed. */
export interface ReplicaSource {
  readonly name: string;
  readonly options: ReplicaOptions;
  open(): Promise<Database>;
}

/** What a read asks of a replica. */
interface Demand {
  readonly freshness?: 'recent' | 'any' | 'primary';
  readonly after?: string;
  /** When the request last committed, monotonic. */
  readonly writtenAt: number | undefined;
}

/** The replica is not as far as the read needs. */
class ReplicaBehind extends Error {
  constructor(
    /** True when it is further behind than it may be, and not only too slow for the request's own last write. */
    readonly lagging: boolean,
    readonly lagMs: number | undefined,
  ) {
    super('The replica is behind.');
  }
}

interface Replica extends ReplicaSource {
  database: Promise<Database> | undefined;
  restUntil: number;
  /** True from a failure until it has served again. */
  failing: boolean;
}

/**
 * Chooses where a read runs. A replica is taken at random among those not at rest; whether it is recent enough is
 * found out in the very transaction the read is going to use. Whatever goes wrong, the primary serves.
 */
export class ReplicaSet {
  private readonly replicas: readonly Replica[];
  /** Connections outlive the request that made them necessary. */
  private readonly outside = AsyncLocalStorage.snapshot();

  constructor(
    sources: readonly ReplicaSource[],
    private readonly positions: PrimaryPositions,
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly warn: (warning: DatabaseWarning) => void,
    private readonly closePositions: () => Promise<void>,
  ) {
    this.replicas = sources.map((source) => ({
      ...source,
      database: undefined,
      restUntil: Number.NEGATIVE_INFINITY,
      failing: false,
    }));
  }

  /** Runs a read through `onReplica`, or `onPrimary` where no replica will do. */
  async read<T>(
    onReplica: (replica: Database, admission: TransactionAdmission) => Promise<T>,
    onPrimary: () => Promise<T>,
    demand: Demand,
  ): Promise<T> {
    const after = demand.after === undefined ? undefined : parseWalPosition(demand.after);
    const replica = demand.freshness === 'primary' ? undefined : this.choose();
    if (!replica) return onPrimary();
    try {
      const database = await this.ready(replica, demand);
      if (!database) return onPrimary();
      const admission = this.admission(replica, demand, after);
      const result = await onReplica(database, admission);
      this.served(replica);
      return result;
    } catch (error) {
      if (error instanceof ReplicaBehind) this.leftBehind(replica, error);
      else if (isReplicaFailure(error)) this.failed(replica, error);
      // The server ends reads that stand in the way of replaying; the primary has no such conflict.
      else if (!isRetryable(error)) throw error;
      return onPrimary();
    }
  }

  async close(): Promise<void> {
    const opened = this.replicas.flatMap(({ database }) => database ?? []);
    await Promise.all([
      this.closePositions(),
      ...opened.map((database) =>
        database.then(
          (open) => open.close(),
          () => undefined,
        ),
      ),
    ]);
  }

  private choose(): Replica | undefined {
    const now = this.clock.monotonic();
    const awake = this.replicas.filter(({ restUntil }) => restUntil <= now);
    return awake[Math.floor(this.random.next() * awake.length)];
  }

  /** The replica's connections once the primary's position is known well enough; undefined while they open. */
  private async ready(replica: Replica, demand: Demand): Promise<Database | undefined> {
    if (!replica.database) {
      const opening = this.outside(() => replica.open());
      replica.database = opening;
      opening.catch((error: unknown) => {
        replica.database = undefined;
        this.failed(replica, error);
      });
      // Opening is nobody's to wait for; a replica that is down must not hold up reads.
      return undefined;
    }
    const database = await Promise.race([replica.database, undefined]);
    if (!database || demand.freshness === 'any') return database;
    const now = this.clock.monotonic();
    // Half of the lag that is allowed may go by between two questions to the primary, the other half is the replica's.
    const since = Math.max(now - replica.options.maxLagMs / 2, demand.writtenAt ?? Number.NEGATIVE_INFINITY);
    const known = await this.positions.since(since).then(
      () => true,
      () => false,
    );
    return known ? database : undefined;
  }

  private admission(replica: Replica, demand: Demand, after: bigint | undefined): TransactionAdmission {
    return {
      probe: 'pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn()::text AS replayed',
      accept: ({ standby, replayed }) => {
        // Promoted: it has a history of its own now, and positions of the primary say nothing about it.
        if (standby !== true || typeof replayed !== 'string') throw new ReplicaBehind(true, undefined);
        const reached = parseWalPosition(replayed);
        if (after !== undefined && reached < after) throw new ReplicaBehind(false, undefined);
        if (demand.freshness === 'any') return;
        const asOf = this.positions.currentAsOf(reached);
        const lagMs = asOf === undefined ? undefined : this.clock.monotonic() - asOf;
        if (lagMs === undefined || lagMs > replica.options.maxLagMs) throw new ReplicaBehind(true, lagMs);
        if (demand.writtenAt !== undefined && asOf! < demand.writtenAt) throw new ReplicaBehind(false, lagMs);
        channels.database.publish({ kind: 'replica', replica: replica.name, outcome: 'served', lagMs });
      },
    };
  }

  private served(replica: Replica): void {
    if (!replica.failing) return;
    replica.failing = false;
    this.warn({ kind: 'replica', message: `The replica "${replica.name}" serves reads again.` });
  }

  private leftBehind(replica: Replica, { lagging, lagMs }: ReplicaBehind): void {
    channels.database.publish({
      kind: 'replica',
      replica: replica.name,
      outcome: 'behind',
      ...(lagMs !== undefined && { lagMs }),
    });
    if (lagging) replica.restUntil = this.clock.monotonic() + replica.options.maxLagMs;
  }

  private failed(replica: Replica, error: unknown): void {
    channels.database.publish({ kind: 'replica', replica: replica.name, outcome: 'failed' });
    replica.restUntil = this.clock.monotonic() + replica.options.restMs;
    if (replica.failing) return;
    replica.failing = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.warn({
      kind: 'replica',
      message: `The replica "${replica.name}" failed; the primary serves its reads: ${reason}`,
    });
  }
}

/** True when the replica's server, and not the read, is what failed. */
function isReplicaFailure(error: unknown): boolean {
  return (
    error instanceof ConnectionLostError ||
    error instanceof DatabaseUnreachableError ||
    error instanceof PoolTimeoutError ||
    error instanceof SchemaNotMigratedError ||
    error instanceof ServerSilentError ||
    error instanceof TooManyConnectionsError ||
    isConnectionLimit(error)
  );
}
