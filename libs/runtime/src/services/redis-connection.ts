import { Cluster, type CommonRedisOptions, Redis } from 'ioredis';
import { RedisUnreachableError } from '../errors.js';

/** How long a server may take to accept a connection at start. */
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MAX_DELAY_MS = 1_000;

/**
 * Connects to one Redis server, or to a Redis Cluster when `addresses` lists several nodes separated by
 * commas. A command fails at once while the connection is down, so that callers keep their time budgets.
 * @param timeoutMs how long the servers may take; default 5,000.
 * @throws RedisUnreachableError when no connection is there within that time.
 */
export async function connectRedis(
  addresses: string,
  timeoutMs: number = CONNECT_TIMEOUT_MS,
): Promise<Redis | Cluster> {
  const client = createRedisClient(addresses, { enableOfflineQueue: false, maxRetriesPerRequest: 1 });
  // Failures reach the callers of commands; without a listener the emitter would end the process.
  client.on('error', () => {});
  try {
    await withDeadline(
      client.connect().then(() => client.ping()),
      timeoutMs,
    );
    return client;
  } catch (cause) {
    client.disconnect();
    throw new RedisUnreachableError(withoutCredentials(addresses), { cause });
  }
}

/**
 * A client that connects with its first use.
 * @param addresses as for {@link connectRedis}; user, password and TLS of a cluster are those of its first node.
 */
export function createRedisClient(
  addresses: string,
  settings: Pick<CommonRedisOptions, 'enableOfflineQueue' | 'maxRetriesPerRequest' | 'commandTimeout'>,
): Redis | Cluster {
  const common = { lazyConnect: true, connectTimeout: CONNECT_TIMEOUT_MS, ...settings };
  const retryStrategy = (attempt: number) => Math.min(50 * 2 ** attempt, RECONNECT_MAX_DELAY_MS);
  const nodes = addresses.split(',');
  if (nodes.length === 1) return new Redis(addresses, { ...common, retryStrategy });
  const { username, password, protocol } = new URL(nodes[0]!);
  return new Cluster(nodes.map(nodeOf), {
    lazyConnect: true,
    enableOfflineQueue: settings.enableOfflineQueue,
    clusterRetryStrategy: retryStrategy,
    redisOptions: {
      ...common,
      ...(username ? { username: decodeURIComponent(username) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
      ...(protocol === 'rediss:' ? { tls: {} } : {}),
    },
  });
}

function nodeOf(address: string): { host: string; port: number } {
  const { hostname, port } = new URL(address);
  return { host: hostname, port: Number(port || 6379) };
}

function withoutCredentials(addresses: string): string {
  return addresses
    .split(',')
    .map((address) => new URL(address).host)
    .join(', ');
}

function withDeadline<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
