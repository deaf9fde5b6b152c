import { setTimeout as sleep } from 'node:timers/promises';
import { RedisCacheStore } from '../../src/adapters/redis/redis-cache.store.js';
import { RedisInvalidationBus } from '../../src/adapters/redis/redis-invalidation.bus.js';
import { CacheService } from '../../src/core/cache.service.js';
import { openRedis } from '../required-services.js';
import type { Answer, LoadTask, Order, ProcessSettings } from './cache-processes.js';
import { openConnection } from './deployments.js';
import { ShiftedClock } from './shifted-clock.js';

/**
 * One of several processes sharing a cache. It does what it is told over IPC, and keeps a ledger of its loads
 * on a server of its own that no fault touches.
 */
const settings = JSON.parse(process.argv[2] ?? '') as ProcessSettings;
const [client, subscriber, ledger] = await Promise.all([
  openConnection(settings.address),
  openConnection(settings.address),
  openRedis(settings.ledger),
]);
const clock = new ShiftedClock(settings.shiftMs);
const bus = new RedisInvalidationBus({ publisher: client, subscriber, heartbeatMs: 100, clock });
const cache = new CacheService(
  { store: new RedisCacheStore(client), bus, clock },
  { l2: { budgetMs: 5_000 }, policy: { jitter: 0, earlyRefreshBeta: 0 } },
);
const { pid } = process;

async function load({ id, gated, value, throws }: LoadTask): Promise<unknown> {
  await ledger.xadd(`loads:${id}`, '*', 'event', 'start', 'pid', pid);
  try {
    while (gated && (await ledger.exists(`gate:${id}`)) === 0) await sleep(5);
    if (throws) throw new Error(throws);
    return value;
  } finally {
    await ledger.xadd(`loads:${id}`, '*', 'event', 'end', 'pid', pid);
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'getOrSet': {
      const { scope, key, callers, rounds = 1, options } = order;
      const outcomes: unknown[] = [];
      for (let round = 0; round < rounds; round++) {
        const calls = Array.from({ length: callers }, () =>
          cache.getOrSet(scope, key, () => load(order.load), options),
        );
        // The calls have left for Redis when this message leaves for the parent.
        if (round === 0)
          setImmediate(() => process.send?.({ order: order.id, asked: true } satisfies Answer));
        for (const outcome of await Promise.allSettled(calls))
          outcomes.push(outcome.status === 'fulfilled' ? outcome.value : String(outcome.reason));
      }
      return outcomes;
    }
    case 'set':
      return cache.set(order.scope, order.key, order.value, order.options);
    case 'peek':
      return cache.peek(order.scope, order.key);
    case 'get':
      return cache.get(order.scope, order.key);
    case 'delete':
      return cache.delete(order.scope, order.key);
    case 'deleteByTag':
      return cache.deleteByTag(order.scope, order.tag);
    case 'clear':
      return cache.clear(order.scope);
    case 'connected':
      return bus.connected;
  }
}

process.on('message', (order: Order) => {
  void obey(order).then(
    (result) => process.send?.({ order: order.id, result } satisfies Answer),
    (error) => process.send?.({ order: order.id, error: String(error) } satisfies Answer),
  );
});
process.on('unhandledRejection', (reason) => {
  process.send?.({ unhandled: String(reason) } satisfies Answer);
});
process.send?.({ ready: true } satisfies Answer);
