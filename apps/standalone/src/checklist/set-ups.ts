import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseTenantId, SystemClock } from '@sparkle/contracts';
import { TokenService } from '@sparkle/runtime';
import { Redis } from 'ioredis';
import { withOwnDatabase } from '../index-report/report-database.js';
import { RunningApplication } from '../processes/running-application.js';

/** The tenant the checklist works as. */
export const CHECKLIST_TENANT = parseTenantId('checklist');

const TOKEN_LIFETIME_SECONDS = 3600;

/** The product, running, and how to reach it. */
export interface CheckedProduct {
  readonly address: string;
  /** Every process that Prometheus should scrape. */
  readonly scraped: readonly string[];
  /** May read, write, and use what is for operators. */
  readonly token: string;
}

/** Where the product runs and on what. */
export interface SetUp {
  readonly name: 'embedded' | 'native';
  /** What an answer can be had without, beside the model. */
  readonly services: readonly ('redis' | 'worker')[];
  /** Starts the product with these variables beside its own, hands it to `work`, and ends it. */
  run<T>(
    environment: Readonly<Record<string, string>>,
    work: (product: CheckedProduct, outages: Outages) => Promise<T>,
  ): Promise<T>;
}

/** Takes away what the product depends on. */
export interface Outages {
  /** Keeps Redis from answering anybody for so long. */
  pauseRedis(forMs: number): Promise<void>;
  /** Kills the worker, and starts another. */
  killWorker(): Promise<void>;
  startWorker(): Promise<void>;
}

/** A load is one tenant's, from one machine: its plan must not be what limits it. */
const GENEROUS = {
  SPARKLE_DEFAULT_PLAN: JSON.stringify({
    qps: 10_000,
    burst: 20_000,
    permits: 64,
    tokenBudget: { tokens: 1_000_000_000, windowMs: 3_600_000 },
  }),
  SPARKLE_LIMIT_USER_PER_HOUR: '1000000',
  SPARKLE_LIMIT_ACTION_PER_HOUR: '1000000',
  SPARKLE_LIMIT_TENANT_PER_HOUR: '1000000',
};

async function tokenFor(key: string): Promise<string> {
  const principal = {
    tenantId: CHECKLIST_TENANT,
    userId: 'checklist',
    scopes: ['read', 'write', 'admin', 'operator'],
  };
  return new TokenService(key, new SystemClock()).issue(principal, TOKEN_LIFETIME_SECONDS);
}

/** `npm start`'s application, on embedded services in a folder of its own. */
export function embeddedSetUp(): SetUp {
  return {
    name: 'embedded',
    services: [],
    run: async (environment, work) => {
      const folder = await mkdtemp(join(tmpdir(), 'sparkle-checklist-'));
      const key = randomBytes(32).toString('hex');
      try {
        const app = await RunningApplication.start('standalone', {
          SPARKLE_DATA: join(folder, 'data'),
          SPARKLE_JWT_KEY: key,
          ...GENEROUS,
          ...environment,
        });
        const none = async () => undefined;
        const outages = { pauseRedis: none, killWorker: none, startWorker: none };
        try {
          const { address } = app;
          return await work({ address, scraped: [address], token: await tokenFor(key) }, outages);
        } finally {
          await app.stop();
        }
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/**
 * The API and a worker as processes of their own, on PostgreSQL and Redis.
 * @param serverUrl login that may create databases.
 * @param redisUrl a Redis that nobody else needs: it is paused for seconds.
 */
export function nativeSetUp(serverUrl: string, redisUrl: string): SetUp {
  return {
    name: 'native',
    services: ['redis', 'worker'],
    run: (environment, work) =>
      withOwnDatabase(serverUrl, async (url) => {
        const key = randomBytes(32).toString('hex');
        const env = {
          DATABASE_URL: url,
          REDIS_URL: redisUrl,
          // Nobody restarts it meanwhile: permits need not wait for it to have been up for a lease.
          SPARKLE_REDIS_DURABLE: 'true',
          SPARKLE_JWT_KEY: key,
          ...GENEROUS,
          ...environment,
        };
        let worker = await RunningApplication.start('worker', env);
        const api = await RunningApplication.start('api', env).catch(async (error: unknown) => {
          await worker.stop();
          throw error;
        });
        const outages: Outages = {
          pauseRedis: (forMs) => pauseRedis(redisUrl, forMs),
          killWorker: async () => {
            await worker.stop('SIGKILL');
          },
          startWorker: async () => {
            worker = await RunningApplication.start('worker', env);
          },
        };
        try {
          const { address } = api;
          const scraped = [address, worker.address];
          return await work({ address, scraped, token: await tokenFor(key) }, outages);
        } finally {
          await Promise.all([api.stop(), worker.stop()]);
        }
      }),
  };
}

async function pauseRedis(url: string, forMs: number): Promise<void> {
  const client = new Redis(url, { lazyConnect: true });
  await client.connect();
  try {
    await client.call('CLIENT', 'PAUSE', String(forMs), 'ALL');
  } finally {
    client.disconnect();
  }
}
