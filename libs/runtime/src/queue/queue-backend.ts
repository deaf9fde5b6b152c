import type * as bullmq from 'bullmq';
import {
  type ConnectionOptions,
  createPostgresBackend,
  Queue,
  QueueEvents,
  type QueueOptions,
  Worker,
  type WorkerOptions,
  withBackend,
} from 'bullmq';
import { Cluster, Redis } from 'ioredis';
import type { QueueName } from './queues.js';

type Processor = ConstructorParameters<typeof Worker>[1];

/** Where BullMQ keeps its jobs: in Redis, or in PostgreSQL for the embedded mode. */
export interface QueueBackend {
  queue(name: QueueName, options?: Omit<QueueOptions, 'connection' | 'prefix'>): Queue;
  events(name: QueueName): QueueEvents;
  worker(
    name: QueueName,
    processor: Processor,
    options: Omit<WorkerOptions, 'connection' | 'prefix'>,
  ): Worker;
}

/** One hash tag per queue, so that BullMQ's scripts run on Redis Cluster. */
function prefix(name: QueueName): string {
  return `{sparkle:${name}}`;
}

/** Jobs in Redis. `addresses` as for `connectRedis`. */
export function redisQueueBackend(addresses: string): QueueBackend {
  // BullMQ duplicates a connection for its blocking reads, which must be free to wait and to reconnect.
  const connection = (): ConnectionOptions => {
    const nodes = addresses.split(',');
    if (nodes.length === 1) return new Redis(addresses, { maxRetriesPerRequest: null, lazyConnect: true });
    return new Cluster(
      nodes.map((node) => ({ host: new URL(node).hostname, port: Number(new URL(node).port || 6379) })),
      { lazyConnect: true, redisOptions: { maxRetriesPerRequest: null } },
    );
  };
  return {
    queue: (name, options) => new Queue(name, { ...options, connection: connection(), prefix: prefix(name) }),
    events: (name) => new QueueEvents(name, { connection: connection(), prefix: prefix(name) }),
    worker: (name, processor, options) =>
      new Worker(name, processor, { ...options, connection: connection(), prefix: prefix(name) }),
  };
}

/** Jobs in PostgreSQL, in a schema of BullMQ's own. */
export function postgresQueueBackend(url: string): QueueBackend {
  // BullMQ types its classes by backend; what is used here has the same shape on each.
  const classes = withBackend(createPostgresBackend) as unknown as Pick<
    typeof bullmq,
    'Queue' | 'QueueEvents' | 'Worker'
  >;
  const connection = { connectionString: url, max: 3, migrate: true } as ConnectionOptions;
  return {
    queue: (name, options) => new classes.Queue(name, { ...options, connection }),
    events: (name) => new classes.QueueEvents(name, { connection }),
    worker: (name, processor, options) => new classes.Worker(name, processor, { ...options, connection }),
  };
}
