import { type CacheEvent, channels, parseTenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryInvalidationBus } from '../src/adapters/memory/memory-invalidation.bus.js';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import type { CacheCoreOptionsInput } from '../src/cache.options.js';
import { CacheService } from '../src/core/cache.service.js';
import { openRedis } from './required-services.js';

const MiB = 1024 * 1024;
const scope = { tenantId: parseTenantId('acme'), namespace: 'courses' };
const key = (kind: string, name: string) => `sparkle:cache:{acme}:${kind}:courses:${name}`;

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = await openRedis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});
beforeEach(async () => {
  await server.restart();
  await vi.waitFor(async () => expect(await redis.ping()).toBe('PONG'), { timeout: 10_000 });
});

/** A process that keeps nothing in memory, so that every read reaches Redis. */
function openCache(options: CacheCoreOptionsInput = {}): CacheService {
  return new CacheService(
    { store: new RedisCacheStore(redis), bus: new MemoryInvalidationBus() },
    // A busy machine must not turn reads into timeouts.
    { l1: { ttlMs: 0 }, ...options, l2: { budgetMs: 2_000, ...options.l2 } },
  );
}

async function eventsOf(run: () => Promise<unknown>): Promise<CacheEvent[]> {
  const events: CacheEvent[] = [];
  const stop = channels.cache.subscribe((event) => events.push(event));
  await run();
  stop();
  return events;
}

describe('an entry in Redis that is not one', () => {
  const whole = '1 2 3 4 5 0 t\n"v"';
  const overwritten: [what: string, write: () => Promise<unknown>][] = [
    ['text of someone else', () => redis.set(key('e', 'r.k'), 'hello')],
    ['nothing at all', () => redis.set(key('e', 'r.k'), '')],
    ['a list', () => redis.del(key('e', 'r.k')).then(() => redis.rpush(key('e', 'r.k'), 'x'))],
    ['its first bytes', () => cut(8)],
    ['itself without its end', () => cut(-1)],
    ['a payload that is no JSON', () => replacePayload(() => '{"a":')],
    ['compressed bytes that are not', () => replaceForm('b', Buffer.from([1, 0, 0, 0, 9, 1, 2, 3]))],
    ['a form that does not exist', () => replaceForm('z', Buffer.from('"v"'))],
    ['a detached payload that is not there', () => replaceForm('T300000.gone', Buffer.alloc(0))],
    ['a detached payload that is too large', () => replaceForm(`T${2 ** 40}.gone`, Buffer.alloc(0))],
    ['a header of huge numbers', () => redis.set(key('e', 'r.k'), whole.replace('1', '9'.repeat(400)))],
  ];

  async function entry(): Promise<Buffer> {
    return (await redis.getBuffer(key('e', 'r.k'))) as Buffer;
  }
  const cut = async (end: number) => redis.set(key('e', 'r.k'), (await entry()).subarray(0, end));
  const replacePayload = async (payload: () => string) => {
    const text = (await entry()).toString();
    return redis.set(key('e', 'r.k'), text.slice(0, text.indexOf('\n') + 1) + payload());
  };
  const replaceForm = async (form: string, payload: Buffer) => {
    const text = (await entry()).toString();
    const header = text.slice(0, text.indexOf('\n')).split(' ');
    header[6] = form;
    return redis.set(key('e', 'r.k'), Buffer.concat([Buffer.from(`${header.join(' ')}\n`), payload]));
  };

  for (const [what, overwrite] of overwritten) {
    it(`is a miss, never an error, and is replaced by the next load: ${what}`, async () => {
      const cache = openCache();
      await cache.set(scope, 'k', 'v');
      await cache.set(scope, 'neighbour', 'kept');
      await overwrite();
      expect(
        await Promise.all([cache.get(scope, 'k'), cache.get(scope, 'neighbour'), cache.peek(scope, 'k')]),
      ).toEqual([undefined, 'kept', undefined]);
      expect(await cache.getOrSet(scope, 'k', () => 'loaded')).toBe('loaded');
      expect(await cache.get(scope, 'k')).toBe('loaded');
      expect(cache.storeAvailable).toBe(true);
      cache.close();
    });
  }

  it('is told of', async () => {
    const cache = openCache();
    for (const [what, overwrite] of overwritten) {
      if (what === 'a list' || what === 'a detached payload that is not there') continue;
      await cache.set(scope, 'k', 'v');
      await overwrite();
      const events = await eventsOf(() => cache.get(scope, 'k'));
      expect(
        events.map(({ tier, outcome }) => `${tier} ${outcome}`),
        what,
      ).toContain('l2 error');
    }
    cache.close();
  });

  for (const [what, name] of [
    ['counter', 'sparkle:cache:{acme}:c'],
    ['namespace mark', 'sparkle:cache:{acme}:m:courses'],
    ['tag mark', 'sparkle:cache:{acme}:m:courses:r.t'],
  ] as const)
    it(`is what entries are whose ${what} was lost or overwritten; new ones are kept again`, async () => {
      for (const overwrite of [
        () => redis.del(name),
        () => redis.set(name, 'nonsense'),
        () => redis.del(name).then(() => redis.hset(name, 'n', '1')),
      ]) {
        const cache = openCache();
        await cache.set(scope, 'k', 'v', { tags: ['t'] });
        expect(await cache.get(scope, 'k')).toBe('v');
        await overwrite();
        expect(await cache.get(scope, 'k')).toBeUndefined();
        for (const value of ['first', 'second'])
          expect(await cache.getOrSet(scope, `new ${value}`, () => value, { tags: ['t'] })).toBe(value);
        expect(await cache.get(scope, 'new second')).toBe('second');
        await cache.deleteByTag(scope, 't');
        expect(await cache.get(scope, 'new second')).toBeUndefined();
        cache.close();
      }
    });
});

describe('large values', () => {
  const options = { maxValueBytes: 64 * MiB };
  const huge = { body: 'x长'.repeat(13 * MiB), id: 1 };

  it('of 50 MB and more are stored, read and removed', async () => {
    const cache = openCache(options);
    let loads = 0;
    const load = () => {
      loads++;
      return huge;
    };
    await cache.getOrSet(scope, 'huge', load);
    expect(await redis.strlen(key('d', 'r.huge'))).toBeGreaterThan(50_000_000);
    const read = await cache.getOrSet<typeof huge>(scope, 'huge', load);
    expect(read.body === huge.body).toBe(true);
    expect(loads).toBe(1);
    expect(cache.storeAvailable).toBe(true);
    await cache.delete(scope, 'huge');
    expect(await redis.exists(key('d', 'r.huge'), key('e', 'r.huge'))).toBe(0);
    cache.close();
  }, 60_000);

  it('do not hold up small ones asked for in the same tick', async () => {
    const cache = openCache(options);
    await cache.set(scope, 'huge', huge);
    await cache.set(scope, 'small', 'small');
    const order: string[] = [];
    await Promise.all(['huge', 'small'].map((name) => cache.get(scope, name).then(() => order.push(name))));
    expect(order).toEqual(['small', 'huge']);
    cache.close();
  }, 60_000);

  it('above the limit are returned and not kept, and what others kept is not taken in', async () => {
    const [generous, strict] = [openCache(options), openCache({ maxValueBytes: 200_000 })];
    const text = 'y'.repeat(300_000);
    expect(await strict.getOrSet(scope, 'k', () => text)).toBe(text);
    expect(await redis.exists(key('e', 'r.k'))).toBe(0);
    await generous.set(scope, 'k', text);
    expect(await strict.get(scope, 'k')).toBeUndefined();
    expect(await generous.get(scope, 'k')).toBe(text);
    generous.close();
    strict.close();
  });

  it('give up their room when a small value takes their place', async () => {
    const cache = openCache();
    await cache.set(scope, 'k', 'y'.repeat(300_000));
    expect(await redis.exists(key('d', 'r.k'))).toBe(1);
    await cache.set(scope, 'k', 'small');
    expect(await redis.exists(key('d', 'r.k'))).toBe(0);
    expect(await cache.get(scope, 'k')).toBe('small');
    cache.close();
  });
});

describe('compression', () => {
  const rows = Array.from({ length: 5_000 }, (_, id) => ({ id, title: `Course ${id}`, 名: '课程' }));

  it('makes entries smaller, and processes with and without it read each other', async () => {
    const [packing, plain] = [openCache({ l2: { compression: { minBytes: 1_000 } } }), openCache()];
    await packing.set(scope, 'packed', rows);
    await packing.set(scope, 'short', 'short');
    await plain.set(scope, 'plain', rows);
    for (const name of ['packed', 'plain', 'short'])
      expect(await packing.get(scope, name)).toEqual(await plain.get(scope, name));
    expect(await plain.get(scope, 'packed')).toEqual(rows);
    expect(await redis.strlen(key('e', 'r.packed'))).toBeLessThan(JSON.stringify(rows).length / 5);
    packing.close();
    plain.close();
  });
});

describe('what a call costs', () => {
  let sent: string[];
  beforeEach(() => {
    sent = [];
    const send = vi.spyOn(redis, 'sendCommand').mockImplementation(function (this: Redis, command, stream) {
      sent.push(command.name.toLowerCase());
      return (Object.getPrototypeOf(this) as Redis).sendCommand.call(this, command, stream);
    });
    return () => {
      send.mockRestore();
    };
  });

  it('is one command for all reads of a tick, of whichever tenant, and one more for tags not met before', async () => {
    const writer = openCache();
    const scopes = Array.from({ length: 64 }, (_, index) => ({
      tenantId: parseTenantId(`tenant-${index >> 1}`),
      namespace: `n${index & 1}`,
    }));
    await Promise.all(scopes.map((each, index) => writer.set(each, 'k', index, { tags: ['t', `${index}`] })));
    const cache = openCache();
    const read = () => Promise.all(scopes.flatMap((each) => [cache.get(each, 'k'), cache.get(each, 'none')]));
    const expected = scopes.flatMap((_, index) => [index, undefined]);
    sent.length = 0;
    expect(await read()).toEqual(expected);
    // The first read also asks what time it is for the server.
    expect(sent.splice(0).sort()).toEqual(expect.arrayContaining(['evalsha', 'mget', 'mget']));
    expect(await read()).toEqual(expected);
    expect(sent).toEqual(['mget']);
    writer.close();
    cache.close();
  });

  it('is two commands for a load that was expected to be necessary, and one for a change, news included', async () => {
    const other = await openRedis(server.url);
    const bus = new RedisInvalidationBus({ publisher: redis, subscriber: other, heartbeatMs: 60_000 });
    const cache = new CacheService(
      { store: new RedisCacheStore(redis), bus },
      { l1: { ttlMs: 0 }, l2: { budgetMs: 2_000 } },
    );
    await vi.waitFor(() => expect(bus.connected).toBe(true));
    // Until it is clear that most of it is not there, a load looks first.
    for (let index = 0; index < 10; index++) await cache.getOrSet(scope, `k${index}`, () => index);
    // The server knows the scripts, too.
    await cache.set(scope, 'k', 0);
    await cache.delete(scope, 'k');
    await cache.deleteByTag(scope, 't');
    sent.length = 0;
    await cache.getOrSet(scope, 'new', () => 'loaded');
    expect(sent.splice(0)).toEqual(['evalsha', 'evalsha']);
    await cache.set(scope, 'k', 1);
    await cache.delete(scope, 'k');
    await cache.deleteByTag(scope, 't');
    expect(sent.splice(0)).toEqual(['evalsha', 'evalsha', 'evalsha']);
    cache.close();
    bus.close();
    other.disconnect();
  });
});
