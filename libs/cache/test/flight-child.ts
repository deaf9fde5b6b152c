import { parseTenantId } from '@sparkle/contracts';
import { RedisCacheStore } from '../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../src/core/cache.service.js';
import { openRedis } from './required-services.js';

/** One of several processes asking for one key at once. Told when to start, reports what it got. */
const [, , keyPrefix = '', channel = ''] = process.argv;
const [client, subscriber] = await Promise.all([openRedis(), openRedis()]);
const bus = new RedisInvalidationBus({ publisher: client, subscriber, channel });
const cache = new CacheService(
  { store: new RedisCacheStore(client, { keyPrefix }), bus },
  { l2: { budgetMs: 5_000 } },
);
const scope = { tenantId: parseTenantId('acme'), namespace: 'flights' };

process.on('message', async ({ key, fails, dies }: { key: string; fails?: boolean; dies?: boolean }) => {
  const loader = async () => {
    await client.incr(`${keyPrefix}:loads:${key}`);
    await client.pexpire(`${keyPrefix}:loads:${key}`, 60_000);
    if (dies) process.kill(process.pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (fails) throw new Error('loader failed');
    return 'value';
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 250 }, () => cache.getOrSet(scope, key, loader, { leaseMs: 1_000 })),
  );
  process.send?.(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : String(outcome.reason))),
  );
});
process.send?.('ready');
