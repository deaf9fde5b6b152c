import { Test } from '@nestjs/testing';
import { parseTenantId } from '@sparkle/contracts';
import { RedisServer } from '@sparkle/contracts/testing';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheModule } from '../src/cache.module.js';
import { CacheService } from '../src/core/cache.service.js';
import type { ValueCodec } from '../src/core/value-codec.js';
import { CacheOptionsInvalidError } from '../src/errors.js';
import { openRedis } from './required-services.js';

const scope = { tenantId: parseTenantId('acme'), namespace: 'courses' };

describe('the cache module', () => {
  let server: RedisServer;
  let connections: [client: Redis, subscriber: Redis, foreign: Redis];
  beforeAll(async () => {
    server = await RedisServer.start();
    connections = [await openRedis(server.url), await openRedis(server.url), await openRedis(server.url)];
  });
  afterAll(async () => {
    for (const connection of connections ?? []) connection.disconnect();
    await server?.stop();
  });

  it('takes a codec, compression and tracking, and ends what it opened', async () => {
    const [client, subscriber, foreign] = connections;
    const codec: ValueCodec = {
      encode: (value) => `reversed:${[...JSON.stringify(value)].reverse().join('')}`,
      decode: (text) => JSON.parse([...text.slice('reversed:'.length)].reverse().join('')) as unknown,
    };
    const before = Number((await foreign.info('clients')).match(/connected_clients:(\d+)/)?.[1]);
    const app = await Test.createTestingModule({
      imports: [
        CacheModule.forRoot({
          redis: { client, subscriber, keyPrefix: 'own', tracking: true },
          l2: { compression: { minBytes: 1_000 } },
          codec,
        }),
      ],
    }).compile();
    await app.init();
    const cache = app.get(CacheService);
    await cache.set(scope, 'short', { a: 1 });
    await cache.set(scope, 'long', 'x'.repeat(5_000));
    expect(await foreign.get('own:{acme}:e:courses:r.short')).toContain('reversed:}1:"a"{');
    expect(await foreign.strlen('own:{acme}:e:courses:r.long')).toBeLessThan(500);
    expect(await cache.peek(scope, 'long')).toMatchObject({ value: 'x'.repeat(5_000) });
    await vi.waitFor(async () => {
      await cache.getOrSet(scope, 'short', () => ({ a: 1 }));
      await foreign.ping();
      expect((await cache.peek(scope, 'short'))?.tier).toBe('l1');
    });
    await foreign.del('own:{acme}:e:courses:r.short');
    await vi.waitFor(async () => expect(await cache.get(scope, 'short')).toBeUndefined());
    await app.close();
    await vi.waitFor(async () =>
      expect(Number((await foreign.info('clients')).match(/connected_clients:(\d+)/)?.[1])).toBe(before),
    );
  });

  it('names every wrong option of the second tier at once', async () => {
    const [client, subscriber] = connections;
    const wrong = {
      redis: { client, subscriber, tracking: 'yes' },
      l2: { compression: { minBytes: 0, level: 12 } },
      codec: { encode: () => '' },
    } as never;
    const failure = await Test.createTestingModule({ imports: [CacheModule.forRoot(wrong)] })
      .compile()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CacheOptionsInvalidError);
    const { problems } = failure as CacheOptionsInvalidError;
    expect(problems.map((problem) => problem.split(':')[0]).sort()).toEqual([
      'codec',
      'l2.compression.level',
      'l2.compression.minBytes',
      'redis.tracking',
    ]);
  });
});
