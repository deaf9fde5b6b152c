import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { PostgresServer } from '@sparkle/database/testing';
import { describe, expect, it, vi } from 'vitest';
import { JobQueues, payloadOf } from '../../src/index.js';
import { openBackend, type StoreAddress } from './store-address.js';

interface Server {
  readonly address: StoreAddress;
  /** Ends the server as a crash does, and starts it on what its disk has. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const SERVERS: Readonly<Record<StoreAddress['kind'], () => Promise<Server>>> = {
  Redis: async () => {
    const server = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    return {
      address: { kind: 'Redis', url: server.url, namespace: 'sparkle' },
      restart: () => server.restart(),
      stop: () => server.stop(),
    };
  },
  PostgreSQL: async () => {
    const server = await PostgresServer.start();
    return {
      address: { kind: 'PostgreSQL', url: server.url },
      restart: () => server.restart(),
      stop: () => server.stop(),
    };
  },
};

describe.each(Object.keys(SERVERS) as (keyof typeof SERVERS)[])('queues on a %s that crashes', (kind) => {
  it('lose no job that was accepted, and work on when it is back', { timeout: 60_000 }, async () => {
    const server = await SERVERS[kind]();
    const queues = new JobQueues(openBackend(server.address), { lockMs: 2_000, stalledCheckMs: 500 });
    const tenantId = parseTenantId('demo');
    const accepted = new Set<string>();
    const done = new Set<string>();
    let held = false;
    const add = async () => {
      const jobId = randomUUID();
      await queues.add('ingestion', jobId, { tenantId, jobId, kind: 'ingestion', subjectId: randomUUID() });
      accepted.add(jobId);
    };
    try {
      for (let n = 0; n < 40; n++) await add();
      queues
        .startWorker(
          'ingestion',
          async (job) => {
            await vi.waitFor(() => expect(held).toBe(false), { timeout: 30_000, interval: 10 });
            done.add(payloadOf('ingestion', job).jobId);
          },
          { concurrency: 3 },
        )
        .on('error', () => {});
      await vi.waitFor(() => expect(done.size).toBeGreaterThanOrEqual(10), 15_000);
      held = true;
      await server.restart();
      held = false;
      await vi.waitFor(add, { timeout: 30_000, interval: 200 });
      await vi.waitFor(() => expect(done).toEqual(accepted), { timeout: 45_000, interval: 200 });
    } finally {
      await queues.onApplicationShutdown();
      await server.stop();
    }
  });
});
