import { parseTenantId } from '@sparkle/contracts';
import { RedisServer, TcpProxy } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../src/core/cache.service.js';
import { openRedis } from './required-services.js';

const scope = { tenantId: parseTenantId('acme'), namespace: 'courses' };
const KEY_PREFIX = 'sparkle:cache';
const name = (rest: string) => `${KEY_PREFIX}:{acme}:${rest}`;

/** One process with tracking, behind a proxy, and a hand that changes Redis without a word. */
describe('with tracking', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let connections: Redis[];
  let foreign: Redis;
  let bus: RedisInvalidationBus;
  let cache: CacheService;

  beforeEach(async () => {
    server = await RedisServer.start();
    proxy = await TcpProxy.to(server.url);
    connections = await Promise.all([
      openRedis(proxy.redisUrl),
      openRedis(proxy.redisUrl),
      openRedis(server.url),
    ]);
    const [client, subscriber] = connections as [Redis, Redis, Redis];
    foreign = connections[2] as Redis;
    bus = new RedisInvalidationBus({
      publisher: client,
      subscriber,
      heartbeatMs: 100,
      tracking: { keyPrefix: KEY_PREFIX },
    });
    cache = new CacheService(
      { store: new RedisCacheStore(client, { keyPrefix: KEY_PREFIX }), bus },
      { l2: { probeEveryMs: 50 } },
    );
    await vi.waitFor(() => expect(bus.connected).toBe(true));
  });
  afterEach(async () => {
    cache?.close();
    bus?.close();
    for (const connection of connections ?? []) connection.disconnect();
    await proxy?.close();
    await server?.stop();
  });

  const tier = async (key: string) => (await cache.peek(scope, key))?.tier;

  /** In memory, after the news of its own writing has come and been looked at. */
  async function held(keys: readonly string[], tags: readonly string[] = []): Promise<void> {
    const looked = vi.spyOn(connections[0] as Redis, 'mgetBuffer');
    for (const key of keys) await cache.set(scope, key, 'v', { tags });
    await vi.waitFor(() => expect(looked.mock.calls.flat(2)).toContain(name('c')));
    await vi.waitFor(async () => {
      await Promise.all(looked.mock.results.map(({ value }) => value as unknown));
      for (const key of keys) expect(await cache.getOrSet(scope, key, () => 'v', { tags })).toBe('v');
      for (const key of keys) expect(await tier(key)).toBe('l1');
    });
    looked.mockRestore();
  }

  const longKey = `key ${'x'.repeat(200)} 键`;
  for (const [what, change] of [
    ['removes an entry', async () => foreign.del(...(await foreign.keys(name('e:courses:*'))))],
    [
      'lets an entry expire',
      async () => {
        for (const key of await foreign.keys(name('e:courses:*'))) await foreign.pexpire(key, 1);
      },
    ],
    [
      'overwrites an entry',
      async () => {
        for (const key of await foreign.keys(name('e:courses:*'))) await foreign.set(key, 'mine');
      },
    ],
    ['raises a tag mark', () => foreign.set(name('m:courses:r.t'), String(2 ** 52))],
    ['removes a tag mark', () => foreign.del(name('m:courses:r.t'))],
    ['raises the namespace mark', () => foreign.set(name('m:courses'), String(2 ** 52))],
    ['removes the counter', () => foreign.del(name('c'))],
    ['flushes the database', () => foreign.flushall()],
  ] as const)
    it(`memory lets go of what someone ${what} by hand, without any message`, async () => {
      await held(['a', longKey], ['t']);
      await change();
      await vi.waitFor(async () => {
        for (const key of ['a', longKey]) expect(await cache.get(scope, key)).toBeUndefined();
      });
    });

  it('memory keeps what this process wrote itself, and what others merely look after', async () => {
    await held(['a', 'b']);
    const [client] = connections as [Redis];
    const looked = vi.spyOn(client, 'mgetBuffer');
    await foreign.pexpire(name('m:courses'), 10_000_000);
    await foreign.pexpire(name('e:courses:r.a'), 10_000_000);
    for (let round = 0; round < 5; round++) await cache.set(scope, 'b', round);
    await vi.waitFor(() =>
      expect(looked.mock.calls.flat(2)).toEqual(
        expect.arrayContaining(['m:courses', 'e:courses:r.a', 'e:courses:r.b'].map(name)),
      ),
    );
    await client.ping();
    expect([await tier('a'), await tier('b')]).toEqual(['l1', 'l1']);
    expect(await cache.get(scope, 'b')).toBe(4);
  });

  it('memory is not trusted while the connections are gone, and tracking is back in place after', async () => {
    await held(['a']);
    await proxy.refuse();
    await vi.waitFor(() => expect(bus.connected).toBe(false));
    await foreign.del(name('e:courses:r.a'));
    await proxy.accept();
    await vi.waitFor(() => expect(bus.connected && cache.storeAvailable).toBe(true), { timeout: 10_000 });
    expect(await cache.get(scope, 'a')).toBeUndefined();
    await held(['a']);
    await foreign.del(name('e:courses:r.a'));
    await vi.waitFor(async () => expect(await cache.get(scope, 'a')).toBeUndefined());
  });

  it('memory is not trusted while only the connection for the news is gone', async () => {
    await held(['a']);
    const changes: boolean[] = [];
    bus.onConnection((connected) => changes.push(connected));
    const clients = String(await foreign.client('LIST')).split('\n');
    const redirected = clients.find((line) => / flags=\w*t\w* /.test(line))?.match(/ redir=(\d+)/)?.[1];
    await foreign.call('CLIENT', 'KILL', 'ID', String(redirected));
    await vi.waitFor(() => expect(changes).toEqual([false, true]), { timeout: 10_000 });
    await held(['a']);
    await foreign.del(name('e:courses:r.a'));
    await vi.waitFor(async () => expect(await cache.get(scope, 'a')).toBeUndefined());
  });
});
