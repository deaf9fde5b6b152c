import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  FanOutError,
  mergeSorted,
  openShards,
  parseShardsOptions,
  type ShardScope,
  ShardSetupInvalidError,
  type Shards,
  ShardTimeoutError,
} from '../../src/index.js';
import { createTenant, ShardCluster } from './shard-cluster.js';

const BUCKETS = 6;
const PER_BUCKET = 3;
const TENANTS = BUCKETS * PER_BUCKET;

let cluster: ShardCluster;
let shards: Shards;

beforeAll(async () => {
  cluster = await ShardCluster.start(3, BUCKETS);
  shards = await cluster.open();
  await shards.administration.createMap(['a', 'b', 'c']);
  for (let bucket = 0; bucket < BUCKETS; bucket++)
    for (const tenant of cluster.tenantsOf(bucket, PER_BUCKET)) await createTenant(shards, tenant);
});
afterAll(() => cluster.stop());

const tenantsHere = ({ tx, owned }: ShardScope) =>
  tx.query<{ id: string }>(`SELECT id FROM tenants t WHERE ${owned('t.id')} ORDER BY id`);

describe('a fan-out', () => {
  it('gets the rows of every shard, each from the one that owns it, and merges what is sorted', async () => {
    const results = await shards.router.fanOut(tenantsHere);
    expect(results.map(({ shard, status }) => [shard, status])).toEqual([
      ['a', 'fulfilled'],
      ['b', 'fulfilled'],
      ['c', 'fulfilled'],
    ]);
    const lists = results.map((result) => (result.status === 'fulfilled' ? result.value : []));
    const byId = (x: { id: string }, y: { id: string }) => (x.id < y.id ? -1 : 1);
    const merged = mergeSorted(lists, byId, 5);
    expect(merged).toEqual(lists.flat().sort(byId).slice(0, 5));
    expect(lists.flat()).toHaveLength(TENANTS);
  });

  it('counts every row once, however many buckets change their shard meanwhile', async () => {
    let moving = true;
    let counted = 0;
    const counting = (async () => {
      const reader = await cluster.open();
      while (moving || counted < 20) {
        const results = await reader.router.fanOut(tenantsHere);
        const ids = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
        expect(ids).toHaveLength(TENANTS);
        expect(new Set(ids.map(({ id }) => id)).size).toBe(TENANTS);
        counted++;
      }
    })();
    for (const [bucket, target] of [
      [0, 'b'],
      [0, 'c'],
      [1, 'c'],
      [2, 'a'],
      [1, 'a'],
    ] as const)
      await shards.administration.moveBucket(bucket, target, {
        // Rows are on both servers for a while.
        onProgress: async ({ step }) => {
          if (!['copied', 'switched', 'accepted'].includes(step)) return;
          const before = counted;
          while (counted < before + 1) await new Promise((resolve) => setTimeout(resolve, 5));
        },
      });
    moving = false;
    await counting;
    expect(counted).toBeGreaterThanOrEqual(15);
  });

  it('finds a bucket that was handed over by a mover which died', async () => {
    const crash = new Error('crash');
    const { shard } = await shards.router.locate(cluster.tenantsOf(3, 1)[0]!);
    const move = shards.administration.moveBucket(3, shard === 'a' ? 'b' : 'a', {
      onProgress: ({ step }) => {
        if (step === 'switched') throw crash;
      },
    });
    await expect(move).rejects.toBe(crash);
    const results = await shards.router.fanOut(tenantsHere);
    expect(results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))).toHaveLength(
      TENANTS,
    );
    await shards.administration.resumeMoves();
  });

  it('sees one tenant alone when it is for one, and cannot write', async () => {
    const tenant = cluster.tenantsOf(0, 1)[0]!;
    const results = await shards.router.fanOut(({ tx }) => tx.query('SELECT id FROM tenants'), {
      tenantId: tenant,
    });
    expect(results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))).toEqual([
      { id: tenant },
    ]);
    const write = shards.router.fanOut(({ tx }) => tx.query(`UPDATE tenants SET name = 'x'`));
    await expect(write).rejects.toBeInstanceOf(FanOutError);
    await expect(write).rejects.toMatchObject({ cause: { code: 'DATABASE_READ_ONLY' } });
  });

  it('asks no more shards at once than it may', async () => {
    let started = 0;
    let active = 0;
    let most = 0;
    const results = await shards.router.fanOut(
      async ({ tx }) => {
        started++;
        most = Math.max(most, ++active);
        while (started < 2) await new Promise((resolve) => setTimeout(resolve, 5));
        await tx.query('SELECT 1');
        active--;
      },
      { concurrency: 2 },
    );
    expect(results).toHaveLength(3);
    expect(most).toBe(2);
  });

  it('ends all when one fails, unless failures are to be reported', async () => {
    const failing = ({ tx, shard }: ShardScope) =>
      tx.query(shard === 'b' ? 'SELECT 1 / 0' : 'SELECT 1 AS one');
    const strict = shards.router.fanOut(failing);
    await expect(strict).rejects.toBeInstanceOf(FanOutError);
    await expect(strict).rejects.toMatchObject({ failures: [{ shard: 'b', status: 'failed' }] });
    const results = await shards.router.fanOut(failing, { partial: 'report' });
    expect(results).toMatchObject([
      { shard: 'a', status: 'fulfilled', value: [{ one: 1 }] },
      { shard: 'b', status: 'failed', error: { message: expect.stringMatching(/division by zero/) } },
      { shard: 'c', status: 'fulfilled', value: [{ one: 1 }] },
    ]);
    for (const { durationMs } of results) expect(durationMs).toBeGreaterThan(0);
  });

  it('rejects with its caller’s reason as soon as that is given, and at once when it was given before', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const work = shards.router.fanOut(
      async ({ tx }) => {
        controller.abort(reason);
        await tx.query('SELECT pg_sleep(60)');
      },
      { signal: controller.signal, partial: 'report' },
    );
    await expect(work).rejects.toBe(reason);
    await expect(shards.router.fanOut(tenantsHere, { signal: controller.signal })).rejects.toBe(reason);
  });

  it.each([{ concurrency: 0 }, { concurrency: 1.5 }, { timeoutMs: 0 }])(
    'refuses the limits %j',
    async (options) => {
      await expect(shards.router.fanOut(tenantsHere, options)).rejects.toBeInstanceOf(ShardSetupInvalidError);
    },
  );

  it('takes nothing but a column for the owner’s condition', async () => {
    const work = shards.router.fanOut(async ({ owned }) => owned(`id) OR (1=1`));
    await expect(work).rejects.toMatchObject({ cause: { code: 'SHARD_SETUP_INVALID' } });
  });
});

describe('a fan-out with a shard that', () => {
  let clock: TestClock;
  let own: Shards;

  beforeAll(async () => {
    await shards.administration.rebalance();
  });
  beforeEach(async () => {
    clock = new TestClock();
    own = await openShards(parseShardsOptions(cluster.options()), { clock });
    await own.router.fanOut(tenantsHere);
  });
  afterEach(() => own.close());

  it('is stalled has the answers of the others, and reports that one when its time is over', async () => {
    const answered: string[] = [];
    await cluster.server('c').stall();
    try {
      const results = own.router.fanOut(
        async (scope) => {
          const rows = await tenantsHere(scope);
          answered.push(scope.shard);
          return rows.length;
        },
        { timeoutMs: 500, partial: 'report' },
      );
      while (answered.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(answered.sort()).toEqual(['a', 'b']);
      await clock.advance(500);
      const outcome = await results;
      expect(outcome.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'timed_out']);
      expect(outcome[2]).toMatchObject({ shard: 'c', durationMs: 500, error: { code: 'SHARD_TIMEOUT' } });
      const strict = own.router.fanOut(tenantsHere, { timeoutMs: 500 });
      const failure = expect(strict).rejects.toMatchObject({
        failures: [{ shard: 'c', status: 'timed_out', error: expect.any(ShardTimeoutError) }],
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await clock.advance(500);
      await failure;
    } finally {
      await cluster.server('c').resume();
    }
  });

  it('is down has the answers of the others, and all of them when that is back', async () => {
    await cluster.server('c').kill();
    try {
      const results = await own.router.fanOut(tenantsHere, { partial: 'report' });
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'failed']);
    } finally {
      await cluster.server('c').restart();
    }
    const results = await own.router.fanOut(tenantsHere);
    expect(results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))).toHaveLength(
      TENANTS,
    );
  });
});
