import type { Database, DatabaseDependencies } from '../core/database.service.js';
import { openDatabase } from '../core/open-database.js';
import { ShardAdministration } from './shard-administration.js';
import { ShardCatalogue } from './shard-catalogue.js';
import { ShardConnections } from './shard-connections.js';
import { ShardRouter } from './shard-router.js';
import { policyOf, type ResolvedShardsOptions } from './shards.options.js';

/** The catalogue's and the shards' connections, and what works on them. */
export class Shards {
  constructor(
    /** For operators and jobs; works without a map too, in order to make it. */
    readonly administration: ShardAdministration,
    readonly router: ShardRouter,
    private readonly catalogue: Database,
    private readonly connections: ShardConnections,
  ) {}

  /** Closes every connection. */
  async close(): Promise<void> {
    await Promise.allSettled([this.catalogue.close(), this.connections.close()]);
  }
}

/**
 * Connects to the catalogue; to a shard when that is needed first. The map is read by the first work that is
 * routed.
 * @throws DatabaseUnreachableError when the catalogue does not let us in.
 * @throws PrivilegedRoleError when its options forbid what its login may do.
 */
export async function openShards(
  options: ResolvedShardsOptions,
  dependencies: DatabaseDependencies = {},
): Promise<Shards> {
  const policy = policyOf(options);
  const connections = new ShardConnections(
    new Map(
      Object.entries(options.shards).map(([name, one]) => [
        name,
        () => openDatabase(one, { ...dependencies, name: `shard-${name}` }),
      ]),
    ),
  );
  const database = await openDatabase(options.catalogue, { ...dependencies, name: 'shard-catalogue' });
  const catalogue = new ShardCatalogue(database, policy);
  return new Shards(
    new ShardAdministration(catalogue, connections, policy, options, dependencies),
    new ShardRouter(catalogue, connections, policy, options, dependencies),
    database,
    connections,
  );
}
