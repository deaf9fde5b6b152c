import type { Priority } from '@sparkle/concurrency';
import type { Cluster, Redis } from 'ioredis';
import type { QueueName } from '../queues.js';
import type { JobTurns } from './job-turns.port.js';

/** Rows of queues that nobody uses any more go after this long, like the dead letters of those queues. */
const TTL_SECONDS = 7 * 86_400;

/** Member for the turn under way; no tenant is named so. */
const UNDER_WAY = '';

/**
 * Turns in one sorted set per queue and class: tenants with the turn they take next, and the turn under way. Plain
 * commands do: each raises a number and none lowers one, so that they may interleave with those of others.
 * @param client a connection that is closed by whoever made it.
 * @param prefix start of a queue's keys, hash tag included.
 */
export class RedisJobTurns implements JobTurns {
  constructor(
    private readonly client: () => Promise<Redis | Cluster>,
    private readonly prefix: (queue: QueueName) => string,
  ) {}

  async take(...[queue, priority, tenantId]: Parameters<JobTurns['take']>): Promise<number> {
    const key = this.key(queue, priority);
    const current = await this.current(queue, priority);
    const client = await this.client();
    const replies = await client
      .multi()
      .zadd(key, 'GT', current, tenantId)
      .zincrby(key, 1, tenantId)
      // Whoever would take no later turn than the one under way needs no place here.
      .zremrangebyscore(key, '-inf', `(${current}`)
      .expire(key, TTL_SECONDS)
      .exec();
    const failure = replies?.find(([error]) => error)?.[0];
    if (failure) throw failure;
    const next = Number(replies?.[1]?.[1]);
    if (!Number.isSafeInteger(next)) throw new TypeError(`Redis counts no turns in ${key}`);
    return next - 1;
  }

  async begin(...[queue, priority, turn]: Parameters<JobTurns['begin']>): Promise<void> {
    const key = this.key(queue, priority);
    const client = await this.client();
    await client.multi().zadd(key, 'GT', turn, UNDER_WAY).expire(key, TTL_SECONDS).exec();
  }

  async current(...[queue, priority]: Parameters<JobTurns['current']>): Promise<number> {
    const client = await this.client();
    return Number((await client.zscore(this.key(queue, priority), UNDER_WAY)) ?? 0);
  }

  async restart(...[queue, priority]: Parameters<JobTurns['restart']>): Promise<void> {
    const client = await this.client();
    await client.del(this.key(queue, priority));
  }

  async close(): Promise<void> {}

  private key(queue: QueueName, priority: Priority): string {
    return `${this.prefix(queue)}:turns:${priority}`;
  }
}
