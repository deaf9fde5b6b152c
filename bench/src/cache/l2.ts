import { CacheService, RedisCacheStore, RedisInvalidationBus } from '@sparkle/cache';
import { parseTenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import { Redis } from 'ioredis';
import { type Case, inFlight, interleaved, median } from '../interleaved.js';
import { OURS, type Report } from '../report.js';

/** A cache whose second tier is measured: nothing it reads may come from this process's memory. */
export interface L2System {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
  /** For systems whose loads of missing keys are measured too. */
  getOrSet?(key: string, load: () => unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** Opens a system on a server of the benchmark's own. */
export interface L2Adapter {
  /** Name in the report. */
  readonly system: string;
  open(url: string): Promise<L2System>;
}

const RAW = 'ioredis';
const KEYS = 1_000;
const ROUNDS = 9;
const WIDTHS = [
  { width: 64, reads: 40_000, loads: 4_000 },
  { width: 1, reads: 5_000, loads: 1_000 },
] as const;

const keys = Array.from({ length: KEYS }, (_, index) => `course:${index}`);
const courseOf = (key: string) => ({ id: key, title: `Course ${key}`, hours: 12 });
const keyAt = (index: number) => keys[index % KEYS]!;

/** As the cache asks of its connections: they fail fast. */
const connect = async (url: string) => {
  const connection = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
  });
  await connection.connect();
  return connection;
};

/** What the systems are measured against: a command per step, and no pipelining of ioredis's own. */
const raw: L2Adapter = {
  system: RAW,
  async open(url) {
    const client = await connect(url);
    return {
      get: (key) => client.get(`raw:${key}`),
      set: (key, value) => client.set(`raw:${key}`, JSON.stringify(value), 'PX', 600_000),
      getOrSet: async (key, load) => {
        const text = await client.get(`raw:${key}`);
        if (text !== null) return JSON.parse(text) as unknown;
        const value = load();
        await client.set(`raw:${key}`, JSON.stringify(value), 'PX', 600_000);
        return value;
      },
      close: async () => client.disconnect(),
    };
  },
};

const ours: L2Adapter = {
  system: OURS,
  async open(url) {
    const [client, subscriber] = await Promise.all([connect(url), connect(url)]);
    const bus = new RedisInvalidationBus({ publisher: client, subscriber });
    const cache = new CacheService(
      { store: new RedisCacheStore(client), bus },
      // Nothing is kept in this process; a busy machine must not turn reads into timeouts.
      { l1: { ttlMs: 0 }, l2: { budgetMs: 5_000 }, policy: { ttlMs: 600_000 } },
    );
    const courses = cache.namespace({ tenantId: parseTenantId('bench'), namespace: 'courses' });
    return {
      get: (key) => courses.get(key),
      set: (key, value) => courses.set(key, value),
      getOrSet: (key, load) => courses.getOrSet(key, load),
      close: async () => {
        cache.close();
        bus.close();
        client.disconnect();
        subscriber.disconnect();
      },
    };
  },
};

/**
 * The second tier over plain ioredis, with 64 calls in flight and with one, of each system: `l2_get_64` and
 * `l2_get_1` read existing keys, over a `GET` handed over as text; `l2_load_64` and `l2_load_1` get missing keys
 * through a loader, over `GET` and `SET` with nothing between them.
 */
export async function measureL2(report: Report, peers: readonly L2Adapter[] = []): Promise<void> {
  const server = await RedisServer.start();
  const opened: { readonly system: string; readonly cache: L2System }[] = [];
  try {
    for (const adapter of [raw, ours, ...peers]) {
      const cache = await adapter.open(server.url);
      opened.push({ system: adapter.system, cache });
      for (const key of keys) await cache.set(key, courseOf(key));
      if (!(await cache.get(keyAt(0)))) throw new Error(`${adapter.system} does not find what it stored`);
    }
    let loaded = 0;
    for (const { width, reads, loads } of WIDTHS) {
      await compare(report, opened, ['ioredis_get', 'l2_get', width], ({ get }) =>
        inFlight(width, reads, (index) => get(keyAt(index))),
      );
      await compare(
        report,
        opened,
        ['ioredis_get_set', 'l2_load', width],
        ({ getOrSet }) =>
          getOrSet &&
          inFlight(width, loads, () => {
            const key = `new:${loaded++}`;
            return getOrSet(key, () => courseOf(key));
          }),
      );
    }
  } finally {
    for (const { cache } of opened) await cache.close();
    await server.stop();
  }
}

async function compare(
  report: Report,
  opened: readonly { readonly system: string; readonly cache: L2System }[],
  [baseline, metric, width]: readonly [baseline: string, metric: string, width: number],
  caseOf: (cache: L2System) => Case | undefined,
): Promise<void> {
  const cases: Record<string, Case> = {};
  for (const { system, cache } of opened) {
    const measured = caseOf(cache);
    if (measured) cases[system] = measured;
  }
  const figures = await interleaved(cases, { rounds: ROUNDS });
  const wide = `${RAW} (${width} in flight)`;
  for (const [system, values] of Object.entries(figures))
    if (system === RAW) report.add(baseline, median(values), 'calls/s', { system: wide });
    else
      report.add(`${metric}_${width}`, median(values), 'calls/s', {
        system,
        baseline: `${baseline}@${wide}`,
      });
}
