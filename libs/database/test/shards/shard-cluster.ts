import { parseTenantId, type TenantId } from '@sparkle/contracts';
import {
  databaseMigrations,
  HashPolicy,
  migrate,
  openShards,
  parseShardsOptions,
  type Shards,
  type ShardsOptions,
  shardCatalogueMigrations,
  shardMigrations,
} from '../../src/index.js';
import { PostgresServer, type PostgresSettings } from '../../src/testing/index.js';

const NAMES = ['a', 'b', 'c'] as const;

export type ShardName = (typeof NAMES)[number];

/** Length of the embeddings of the test's schema. */
export const DIMENSIONS = 4;

/**
 * PostgreSQL servers of a test's own with the product's schema, the first of which has the catalogue too.
 * `open` gives what another process would have: connections and a map of its own.
 */
export class ShardCluster {
  private readonly opened: Shards[] = [];

  private constructor(
    readonly servers: ReadonlyMap<ShardName, PostgresServer>,
    readonly buckets: number,
  ) {}

  static async start(
    shards: number,
    buckets: number,
    settings: PostgresSettings = {},
  ): Promise<ShardCluster> {
    const servers = await Promise.all(
      NAMES.slice(0, shards).map(async (name, index) => {
        const server = await PostgresServer.start({ max_connections: '120', ...settings });
        const catalogue = index === 0 ? shardCatalogueMigrations : [];
        await migrate(server.url, [...databaseMigrations(DIMENSIONS), ...shardMigrations, ...catalogue]);
        return [name, server] as const;
      }),
    );
    return new ShardCluster(new Map(servers), buckets);
  }

  options(overrides: Partial<ShardsOptions> = {}): ShardsOptions {
    const pool = { size: 4, overflow: 16 };
    const shards = Object.fromEntries([...this.servers].map(([name, { url }]) => [name, { url, pool }]));
    return {
      catalogue: { url: this.server('a').url, pool },
      shards,
      buckets: this.buckets,
      fenceMs: 2000,
      moveWaitMs: 30_000,
      ...overrides,
    };
  }

  async open(overrides: Partial<ShardsOptions> = {}): Promise<Shards> {
    const shards = await openShards(parseShardsOptions(this.options(overrides)));
    this.opened.push(shards);
    return shards;
  }

  server(name: string): PostgresServer {
    return this.servers.get(name as ShardName)!;
  }

  /** Tenants whose bucket is `bucket`. */
  tenantsOf(bucket: number, count: number): TenantId[] {
    const policy = new HashPolicy(this.buckets);
    const found: TenantId[] = [];
    for (let n = 0; found.length < count; n++)
      if (policy.bucketOf(`tenant-${n}`) === bucket) found.push(parseTenantId(`tenant-${n}`));
    return found;
  }

  /** Shards on which a query has rows, and the rows. */
  async everywhere<Row extends object>(text: string, parameters: unknown[] = []) {
    const found = await Promise.all(
      [...this.servers].map(
        async ([shard, server]) => [shard, await server.query<Row>(text, parameters)] as const,
      ),
    );
    return found.filter(([, rows]) => rows.length > 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.opened.map((shards) => shards.close()));
    await Promise.all([...this.servers.values()].map((server) => server.stop()));
  }
}

/** Creates a tenant where it belongs. */
export async function createTenant({ router }: Shards, tenant: TenantId): Promise<void> {
  await router.asSystem(tenant, (tx) =>
    tx.query('INSERT INTO tenants (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING', [tenant]),
  );
}
