import { parseTenantId, type TenantId } from '@sparkle/contracts';
import { RedisCluster, RedisServer } from '@sparkle/contracts/testing';
import { Cluster, type Redis } from 'ioredis';
import { FAIL_FAST, openRedis } from '../required-services.js';

/** Where a process connects to: one server, or the nodes of a cluster. */
export type Address = string | readonly { readonly host: string; readonly port: number }[];

/** A Redis of a test's own, single or a cluster of three. */
export interface Deployment {
  readonly address: Address;
  readonly nodes: readonly RedisServer[];
  /** As many as there are nodes, each living on another one. */
  readonly tenants: readonly TenantId[];
  stop(): Promise<void>;
}

export const deployments: readonly { readonly name: string; start(): Promise<Deployment> }[] = [
  {
    name: 'one Redis server',
    async start() {
      const server = await RedisServer.start();
      return {
        address: server.url,
        nodes: [server],
        tenants: [parseTenantId('acme')],
        stop: () => server.stop(),
      };
    },
  },
  {
    name: 'a Redis Cluster of three nodes',
    async start() {
      const cluster = await RedisCluster.start();
      return {
        address: cluster.endpoints,
        nodes: cluster.nodes,
        tenants: await tenantPerNode(cluster.nodes),
        stop: () => cluster.stop(),
      };
    },
  },
];

/** A connection that fails fast, as the README asks for. */
export async function openConnection(address: Address): Promise<Redis | Cluster> {
  if (typeof address === 'string') return openRedis(address);
  const cluster = new Cluster([...address], {
    lazyConnect: true,
    enableOfflineQueue: false,
    redisOptions: { ...FAIL_FAST, connectTimeout: 1_000 },
    clusterRetryStrategy: () => 50,
    slotsRefreshInterval: 500,
  });
  cluster.on('error', () => undefined);
  await cluster.connect();
  return cluster;
}

/** How often each command has run on the deployment since it started. */
export async function commandCalls({ nodes }: Pick<Deployment, 'nodes'>): Promise<Map<string, number>> {
  const calls = new Map<string, number>();
  for (const node of nodes) {
    const statistics = await node.command('info', 'commandstats');
    for (const [, name = '', count] of statistics.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm))
      calls.set(name, (calls.get(name) ?? 0) + Number(count));
  }
  return calls;
}

/** Upkeep of connections, cluster and heartbeat, which goes on whether or not anyone uses the cache. */
const UPKEEP = /^(publish|subscribe|ping|info|command|client|cluster|config|hello|auth|select)(\||$)/;

/** Commands the cache gave, what its scripts called included. */
export async function cacheCommands(deployment: Pick<Deployment, 'nodes'>): Promise<number> {
  let total = 0;
  for (const [name, count] of await commandCalls(deployment)) if (!UPKEEP.test(name)) total += count;
  return total;
}

async function tenantPerNode(nodes: readonly RedisServer[]): Promise<readonly TenantId[]> {
  const [first] = nodes;
  if (!first) throw new Error('A cluster has nodes.');
  const tenants: TenantId[] = [];
  for (let index = 0; Object.keys(tenants).length < nodes.length; index++) {
    const name = `tenant-${index}`;
    const slot = Number(await first.command('cluster', 'keyslot', `{${name}}`));
    tenants[Math.floor((slot * nodes.length) / 16_384)] ??= parseTenantId(name);
  }
  return tenants;
}
