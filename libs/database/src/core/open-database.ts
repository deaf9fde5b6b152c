import type { ResolvedDatabaseOptions } from '../database.options.js';
import { connectDataSource, createDataSource } from './data-source.js';
import { Database, type DatabaseDependencies } from './database.service.js';

/**
 * Connects and checks what the options ask for.
 * @throws DatabaseUnreachableError when the server does not let us in.
 * @throws PrivilegedRoleError when `requireUnprivileged` is set and the login bypasses row-level security.
 */
export async function openDatabase(
  options: ResolvedDatabaseOptions,
  dependencies: DatabaseDependencies = {},
): Promise<Database> {
  const dataSource = await connectDataSource(createDataSource(options), options.url);
  const database = new Database(dataSource, options.pool, dependencies);
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
