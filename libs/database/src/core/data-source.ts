import pg from 'pg';
import { DataSource } from 'typeorm';
import type { ResolvedDatabaseOptions } from '../database.options.js';
import { entities } from '../entities/index.js';
import { toUnreachableError } from './connection-failure.js';

/** Idle time after which the system starts to ask whether the other end of a connection is still there. */
const KEEP_ALIVE_DELAY_MS = 30_000;

/**
 * An unconnected data source for `options`. The pool opens at most `size + overflow` connections and keeps
 * `size` of them. Schema changes belong to migrations, so TypeORM neither synchronises nor adds extensions.
 */
export function createDataSource(options: ResolvedDatabaseOptions): DataSource {
  const { pool } = options;
  return new DataSource({
    type: 'postgres',
    url: options.url,
    entities: [...entities],
    synchronize: false,
    migrationsRun: false,
    installExtensions: false,
    uuidExtension: 'pgcrypto',
    applicationName: options.applicationName,
    logging: false,
    // An idle connection that breaks is replaced; whoever uses a broken one gets the error.
    poolErrorHandler: () => undefined,
    extra: {
      min: pool.size,
      max: pool.size + pool.overflow,
      idleTimeoutMillis: pool.overflowIdleMs,
      maxLifetimeSeconds: Math.ceil(pool.recycleMs / 1000),
      connectionTimeoutMillis: pool.acquireTimeoutMs,
      statement_timeout: pool.statementTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
      Client: clientWithConnectTimeout(pool.connectTimeoutMs),
    },
  });
}

/**
 * Connects `dataSource`.
 * @throws DatabaseUnreachableError when the server does not let us in.
 */
export async function connectDataSource(dataSource: DataSource, url: string): Promise<DataSource> {
  try {
    return await dataSource.initialize();
  } catch (error) {
    throw toUnreachableError(url, error);
  }
}

/** pg's pool has one time limit for both waiting and connecting; this gives connecting its own. */
function clientWithConnectTimeout(connectTimeoutMs: number): typeof pg.Client {
  return class extends pg.Client {
    constructor(config: pg.ClientConfig) {
      super({ ...config, connectionTimeoutMillis: connectTimeoutMs });
    }
  };
}
