import { SystemClock, SystemRandom } from '@sparkle/contracts';
import type { ResolvedDatabaseOptions } from '../database.options.js';
import { openReplicas } from '../replicas/open-replicas.js';
import { connectDataSource, createDataSource } from './data-source.js';
import { Database, type DatabaseDependencies } from './database.service.js';

/**
 * Connects and checks what the options ask for. Replicas are connected to when they are first read from, so that
 * one that is down keeps nothing from starting.
 * @throws DatabaseUnreachableError when the server does not let us in.
 * @throws PrivilegedRoleError when `requireUnprivileged` is set and the login bypasses row-level security.
 */
export async function openDatabase(
  options: ResolvedDatabaseOptions,
  dependencies: DatabaseDependencies = {},
): Promise<Database> {
  const shared = {
    ...(options.detectRepeatedQueries && { repeatedQueryThreshold: options.repeatedQueryThreshold }),
    ...dependencies,
    clock: dependencies.clock ?? new SystemClock(),
    random: dependencies.random ?? new SystemRandom(),
    warn: dependencies.warn ?? (() => undefined),
  };
  const dataSource = await connectDataSource(createDataSource(options), options.url);
  const database = new Database(dataSource, options.pool, shared);
  if (options.replicas.length > 0) database.serveReadsFrom(openReplicas(database, options, shared));
  if (options.requireUnprivileged) {
    try {
      await database.assertUnprivileged();
    } catch (error) {
      await database.close();
      throw error;
    }
  }
  return database;
}
