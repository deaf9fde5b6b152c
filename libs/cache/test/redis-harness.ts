import type { TcpProxy } from '@sparkle/contracts/testing';
import { RedisInvalidationBus } from '../src/adapters/redis/redis-invalidation.bus.js';
import type { RedisConnection } from '../src/lua/redis-script.js';
import type { InvalidationBusHarness } from '../src/testing/invalidation-bus.contract.js';
import { openRedis } from './required-services.js';

/** A server's clock cannot be set; waiting on it means asking it. */
export async function waitOn(time: () => Promise<(number | string)[]>, ms: number): Promise<void> {
  const now = async () => {
    const [seconds, micros] = await time();
    return Number(seconds) * 1000 + Number(micros) / 1000;
  };
  const until = (await now()) + ms;
  while ((await now()) < until);
}

/** Two ends of one bus: the first on the connections given, the second through the proxy. */
export async function redisBuses(
  proxy: TcpProxy,
  channel: string,
  publisher: RedisConnection,
  subscriber: RedisConnection,
): Promise<InvalidationBusHarness> {
  const [farPublisher, farSubscriber] = await Promise.all([
    openRedis(proxy.redisUrl),
    openRedis(proxy.redisUrl),
  ]);
  const heartbeatMs = 100;
  const first = new RedisInvalidationBus({ publisher, subscriber, channel, heartbeatMs });
  const second = new RedisInvalidationBus({
    publisher: farPublisher,
    subscriber: farSubscriber,
    channel,
    heartbeatMs,
  });
  return {
    first,
    second,
    cut: async () => proxy.refuse(),
    mend: async () => proxy.accept(),
    close: async () => {
      first.close();
      second.close();
      for (const connection of [publisher, subscriber, farPublisher, farSubscriber]) connection.disconnect();
      await proxy.close();
    },
  };
}
