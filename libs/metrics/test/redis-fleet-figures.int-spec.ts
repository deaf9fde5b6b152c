import { randomUUID } from 'node:crypto';
import { SystemClock } from '@sparkle/contracts';
import { RedisCluster, TcpProxy, TestClock } from '@sparkle/contracts/testing';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FleetStoreError, FleetStoreTimeoutError, RedisFleetFigures } from '../src/index.js';
import { fleetFiguresContract, instanceFigures } from '../src/testing/index.js';

const TTL_MS = 600_000;
const clock = new SystemClock();

function redisUrl(): string {
  const url = process.env.TEST_REDIS_URL;
  if (!url)
    throw new Error('TEST_REDIS_URL is not set. Start the test services (npm test does) or set it by hand.');
  return url;
}

/** Takes away part of the time that published figures have left, as its passing would. */
async function ageKeys(client: Redis | Cluster, prefix: string, ms: number): Promise<void> {
  const index = `${prefix}:{fleet}:instances`;
  for (const id of await client.zrange(index, 0, -1)) {
    const key = `${index}:${id}`;
    await client.pexpire(key, Math.max(0, (await client.pttl(key)) - ms));
  }
}

describe('RedisFleetFigures', () => {
  let client: Redis;
  beforeAll(() => {
    client = new Redis(redisUrl(), { maxRetriesPerRequest: 1 });
  });
  afterAll(() => client?.disconnect());

  function open(options: { maxInstances?: number } = {}) {
    const prefix = `t-${randomUUID()}`;
    return {
      prefix,
      store: new RedisFleetFigures(client, clock, { prefix, ttlMs: TTL_MS, timeoutMs: 5000, ...options }),
    };
  }

  fleetFiguresContract(async () => {
    const { prefix, store } = open();
    return { store, ttlMs: TTL_MS, age: (ms) => ageKeys(client, prefix, ms) };
  });

  it('gives every key a time to live and forgets those who left', async () => {
    const { prefix, store } = open();
    await store.publish(instanceFigures());
    await store.publish(instanceFigures({ instance: 'two' }));
    const index = `${prefix}:{fleet}:instances`;
    for (const key of [index, `${index}:api/one`, `${index}:api/two`])
      expect(await client.pttl(key), key).toBeGreaterThan(0);
    await client.del(`${index}:api/one`);
    await store.read();
    expect(await client.zrange(index, 0, -1)).toEqual(['api/two']);
  });

  it('keeps no more instances than its bound, and those that published last', async () => {
    const { prefix, store } = open({ maxInstances: 3 });
    const stepping = new TestClock();
    const stepped = new RedisFleetFigures(client, stepping, { prefix, ttlMs: TTL_MS, maxInstances: 3 });
    for (let n = 0; n < 10; n++) {
      await stepping.advance(1000);
      await stepped.publish(instanceFigures({ instance: `i${n}` }));
    }
    expect((await store.read()).map(({ figures }) => figures.instance).sort()).toEqual(['i7', 'i8', 'i9']);
  });

  it('leaves out what another version has written differently', async () => {
    const { prefix, store } = open();
    await store.publish(instanceFigures());
    for (const [id, text] of Object.entries({ garbage: 'no json', older: '{"service":"api"}' })) {
      await client.set(`${prefix}:{fleet}:instances:${id}`, text, 'PX', TTL_MS);
      await client.zadd(`${prefix}:{fleet}:instances`, 1, id);
    }
    expect(await store.read()).toHaveLength(1);
  });

  it('gives up within its time when Redis stalls, says when it refuses, and works again afterwards', async () => {
    const proxy = await TcpProxy.to(redisUrl());
    const through = new Redis(proxy.redisUrl, { maxRetriesPerRequest: 1, retryStrategy: () => 20 });
    through.on('error', () => {});
    try {
      const slow = new TestClock();
      const store = new RedisFleetFigures(through, slow, { prefix: `t-${randomUUID()}`, ttlMs: TTL_MS });
      await store.publish(instanceFigures());
      proxy.stall();
      const reading = store.read();
      const expectation = expect(reading).rejects.toThrow(FleetStoreTimeoutError);
      await slow.advance(250);
      await expectation;
      proxy.resume();
      await expect.poll(async () => (await store.read()).length).toBe(1);
      await proxy.refuse();
      await expect(store.read()).rejects.toThrow(FleetStoreError);
      await proxy.accept();
      await expect.poll(async () => (await store.read().catch(() => [])).length).toBe(1);
    } finally {
      through.disconnect();
      await proxy.refuse();
    }
  });
});

describe('RedisFleetFigures on a Redis Cluster', () => {
  let servers: RedisCluster;
  let client: Cluster;
  beforeAll(async () => {
    servers = await RedisCluster.start();
    client = new Cluster([...servers.endpoints]);
  });
  afterAll(async () => {
    client?.disconnect();
    await servers?.stop();
  });

  it('publishes, reads and withdraws like on one server', async () => {
    const store = new RedisFleetFigures(client, clock, { timeoutMs: 5000 });
    for (const instance of ['one', 'two', 'three']) await store.publish(instanceFigures({ instance }));
    await store.withdraw(instanceFigures({ instance: 'two' }));
    expect((await store.read()).map(({ figures }) => figures.instance).sort()).toEqual(['one', 'three']);
  });
});
