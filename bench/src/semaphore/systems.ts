import { RedisPermitStore, RedisScripts, Semaphores } from '@sparkle/concurrency';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import Bottleneck from 'bottleneck';
import { Redis } from 'ioredis';
import { Semaphore } from 'redis-semaphore';
import Redlock from 'redlock';

/** What a holder does with its permit. */
export interface Held {
  /** As far as the system tells its holder. */
  readonly held: boolean;
  /** Server time at which the lease cannot have ended yet, milliseconds; `undefined` when it tells none. */
  readonly leaseEndsMs: number | undefined;
}

export interface PermitSystem {
  /** Waits for one of `permits` permits of `name`, runs `work` with it and gives it back. */
  withPermit(
    name: string,
    permits: number,
    tenant: string,
    work: (held: Held) => Promise<void>,
  ): Promise<void>;
  /** Takes a permit and gives it back, with nothing in between. */
  pair(name: string, permits: number): Promise<unknown>;
  close(): Promise<void>;
}

export interface SystemOptions {
  readonly url: string;
  readonly prefix: string;
  readonly leaseMs: number;
  /** Ours only: the server never loses data while this runs. */
  readonly durable: boolean;
}

/** The systems that are measured, and how to count the commands that their clients send. */
export const SYSTEMS = {
  sparkle: { open: openSparkle, mostPermits: Number.POSITIVE_INFINITY, commands: ['evalsha', 'eval'] },
  'redis-semaphore': {
    open: openRedisSemaphore,
    mostPermits: Number.POSITIVE_INFINITY,
    commands: ['evalsha', 'eval', 'zrem'],
  },
  redlock: { open: openRedlock, mostPermits: 1, commands: ['evalsha', 'eval'] },
  bottleneck: { open: openBottleneck, mostPermits: Number.POSITIVE_INFINITY, commands: ['evalsha', 'eval'] },
} as const;

export type SystemName = keyof typeof SYSTEMS;
export const SYSTEM_NAMES = Object.keys(SYSTEMS) as SystemName[];

/** A connection that outlives restarts of the server. */
export function connect(url: string): Redis {
  const connection = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: 3 });
  connection.on('error', () => {});
  return connection;
}

function openSparkle({ url, prefix, leaseMs, durable }: SystemOptions): PermitSystem {
  const [client, subscriber] = [connect(url), connect(url)];
  const clock = new SystemClock();
  const store = new RedisPermitStore(new RedisScripts(client, clock, 5000), subscriber, prefix, { durable });
  const semaphores = new Semaphores(store, clock, { leaseMs, timeoutMs: 600_000, maxWaiting: 10_000 });
  const known = new Map<string, ReturnType<Semaphores['semaphore']>>();
  const semaphoreOf = (name: string, permits: number) => {
    let semaphore = known.get(name);
    if (!semaphore) {
      semaphore = semaphores.semaphore({ name, permits, scope: 'shared' });
      known.set(name, semaphore);
    }
    return semaphore;
  };
  const acme = { tenantId: parseTenantId('acme') };
  return {
    async withPermit(name, permits, tenant, work) {
      const permit = await semaphoreOf(name, permits).acquire({ tenantId: parseTenantId(tenant) });
      try {
        await work({
          get held() {
            return permit.held;
          },
          // The token is the server's time of the grant, in microseconds.
          leaseEndsMs: Math.floor(permit.fencingToken / 1000) + leaseMs,
        });
      } finally {
        await permit.release();
      }
    },
    async pair(name, permits) {
      const permit = await semaphoreOf(name, permits).acquire(acme);
      await permit.release();
    },
    async close() {
      await semaphores.close();
      client.disconnect();
      subscriber.disconnect();
    },
  };
}

function openRedisSemaphore({ url, prefix, leaseMs }: SystemOptions): PermitSystem {
  const client = connect(url);
  return {
    async withPermit(name, permits, _tenant, work) {
      const options = { lockTimeout: leaseMs, acquireTimeout: 600_000, onLockLost: () => {} };
      const semaphore = new Semaphore(client, `${prefix}:${name}`, permits, options);
      await semaphore.acquire();
      try {
        await work({
          get held() {
            return semaphore.isAcquired;
          },
          leaseEndsMs: undefined,
        });
      } finally {
        await semaphore.release();
      }
    },
    async pair(name, permits) {
      const semaphore = new Semaphore(client, `${prefix}:${name}`, permits, { lockTimeout: leaseMs });
      await semaphore.acquire();
      await semaphore.release();
    },
    close: async () => client.disconnect(),
  };
}

function openRedlock({ url, prefix, leaseMs }: SystemOptions): PermitSystem {
  const client = connect(url);
  const redlock = new Redlock([client as unknown as Redlock.CompatibleRedisClient], {
    retryCount: 1_000_000,
  });
  redlock.on('clientError', () => {});
  return {
    async withPermit(name, _permits, _tenant, work) {
      const lock = await redlock.lock(`${prefix}:${name}`, leaseMs);
      try {
        await work({
          get held() {
            return Date.now() < lock.expiration;
          },
          leaseEndsMs: undefined,
        });
      } finally {
        // It throws when the lock has ended, or the server is gone.
        await Promise.resolve(lock.unlock()).catch(() => {});
      }
    },
    async pair(name) {
      const lock = await redlock.lock(`${prefix}:${name}`, leaseMs);
      await lock.unlock();
    },
    close: async () => client.disconnect(),
  };
}

function openBottleneck({ url, prefix, leaseMs }: SystemOptions): PermitSystem {
  const limiters = new Map<string, Bottleneck>();
  const limiterOf = (name: string, permits: number) => {
    let limiter = limiters.get(name);
    if (!limiter) {
      limiter = new Bottleneck({
        id: `${prefix}-${name}`,
        maxConcurrent: permits,
        datastore: 'ioredis',
        clientOptions: { host: '127.0.0.1', port: Number(new URL(url).port), retryStrategy: () => 20 },
        Redis,
      });
      limiter.on('error', () => {});
      limiters.set(name, limiter);
    }
    return limiter;
  };
  const expiration = leaseMs;
  return {
    withPermit: (name, permits, _tenant, work) =>
      limiterOf(name, permits).schedule({ expiration }, () => work({ held: true, leaseEndsMs: undefined })),
    pair: (name, permits) => limiterOf(name, permits).schedule({ expiration }, async () => {}),
    async close() {
      await Promise.all([...limiters.values()].map((limiter) => limiter.disconnect(false)));
    },
  };
}
