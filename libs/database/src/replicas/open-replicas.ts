import type { Clock, Random } from '@sparkle/contracts';
import { connectDataSource, createDataSource } from '../core/data-source.js';
import { Database, type DatabaseDependencies } from '../core/database.service.js';
import type { DatabaseWarning } from '../core/database-warning.js';
import type { ResolvedDatabaseOptions } from '../database.options.js';
import { PrimaryPositions } from './primary-positions.js';
import { ReplicaSet } from './replica-set.js';

/**
 * The replicas of `options`, none of them connected yet. The primary is asked for its position on a connection
 * apart from its pool: replicas are wanted most when that one is exhausted.
 */
export function openReplicas(
  primary: Database,
  options: ResolvedDatabaseOptions,
  dependencies: DatabaseDependencies & {
    clock: Clock;
    random: Random;
    warn: (warning: DatabaseWarning) => void;
  },
): ReplicaSet {
  const { replicas, pool } = options;
  const connect = async (url: string, name: string, bounds: Partial<typeof pool>) => {
    const own = { ...options, url, pool: { ...pool, ...bounds } };
    const dataSource = await connectDataSource(createDataSource(own), url);
    return new Database(dataSource, own.pool, { ...dependencies, name, transactionsOf: primary });
  };
  const askTimeoutMs = Math.max(...replicas.map((replica) => replica.askTimeoutMs));
  let positionSource: Promise<Database> | undefined;
  const ask = async () => {
    positionSource ??= connect(options.url, 'primary-position', {
      ...{ size: 1, overflow: 0, saturationWarningRatio: 1 },
      ...bounded(askTimeoutMs),
    });
    const opening = positionSource;
    try {
      return await (await opening).position();
    } catch (error) {
      // Not connected: the next one tries again.
      if (await failed(opening)) positionSource = undefined;
      throw error;
    }
  };
  const longestLagMs = Math.max(...replicas.map(({ maxLagMs }) => maxLagMs));
  return new ReplicaSet(
    replicas.map((replica, index) => {
      const name = replica.name ?? `replica-${index + 1}`;
      return {
        name,
        options: replica,
        open: () =>
          connect(replica.url, name, {
            ...bounded(replica.askTimeoutMs),
            statementTimeoutMs: pool.statementTimeoutMs,
          }),
      };
    }),
    new PrimaryPositions(dependencies.clock, ask, 2 * longestLagMs),
    dependencies.clock,
    dependencies.random,
    dependencies.warn,
    async () => {
      await positionSource?.then(
        (database) => database.close(),
        () => undefined,
      );
    },
  );
}

/** Nothing on the way to a transaction may take longer than `timeoutMs`. */
function bounded(timeoutMs: number) {
  return {
    acquireTimeoutMs: timeoutMs,
    connectTimeoutMs: timeoutMs,
    livenessTimeoutMs: timeoutMs,
    statementTimeoutMs: timeoutMs,
  };
}

function failed(opening: Promise<unknown>): Promise<boolean> {
  return opening.then(
    () => false,
    () => true,
  );
}
