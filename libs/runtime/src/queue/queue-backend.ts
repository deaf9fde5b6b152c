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
import { createRedisClient } from '../services/redis-connection.js';
import type { QueueName } from './queues.js';
import type { JobTurns } from './turns/job-turns.port.js';
import { PostgresJobTurns } from './turns/postgres-job-turns.js';
import { RedisJobTurns } from './turns/redis-job-turns.js';

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
  /** Whose turn it is; in the same store as the jobs, so that the two are lost or kept together. */
  readonly turns: JobTurns;
  /** Closes the connections that outlive the queues on them. */
  close(): Promise<void>;
}

/** A job is added, or its failure known, within this time. */
const COMMAND_TIMEOUT_MS = 5_000;

/**
 * Jobs in Redis.
 * @param addresses as for `connectRedis`.
 * @param namespace start of every key; default `sparkle`.
 */
export function redisQueueBackend(addresses: string, namespace = 'sparkle'): QueueBackend {
  // One hash tag per queue, so that BullMQ's scripts run on Redis Cluster.
  const prefix = (name: QueueName) => `{${namespace}:${name}}`;
  const connections: ReturnType<typeof createRedisClient>[] = [];
  const connect = (settings: Parameters<typeof createRedisClient>[1]) => {
    const connection = createRedisClient(addresses, settings);
    connections.push(connection);
    return connection;
  };
  // BullMQ duplicates this connection for its blocking reads, which must be free to wait and to reconnect.
  const patient = () => connect({ maxRetriesPerRequest: null });
  // Whoever adds a job waits for it: without Redis that fails at once instead of when Redis is back.
  const impatient = () =>
    connect({ enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: COMMAND_TIMEOUT_MS });
  const turns = new RedisJobTurns(connectingAtFirstUse(impatient), prefix);
  return {
    turns,
    queue: (name, options) => new Queue(name, { ...options, connection: impatient(), prefix: prefix(name) }),
    events: (name) => new QueueEvents(name, { connection: patient(), prefix: prefix(name) }),
    worker: (name, processor, options) =>
      new Worker(name, processor, { ...options, connection: patient(), prefix: prefix(name) }),
    close: async () => {
      // BullMQ closes its duplicates, and none of what it was handed.
      for (const connection of connections.splice(0)) connection.disconnect();
    },
  };
}

/** Jobs in PostgreSQL, in a schema of BullMQ's own. */
export function postgresQueueBackend(url: string): QueueBackend {
  // BullMQ types its classes by backend; what is used here has the same shape on each.
  const classes = withBackend(createPostgresBackend) as unknown as Pick<
    typeof bullmq,
    'Queue' | 'QueueEvents' | 'Worker'
  >;
  const settings = { connectionString: url, migrate: true };
  const connection = { ...settings, max: 3 } as ConnectionOptions;
  const turns = new PostgresJobTurns(settings);
  return {
    turns,
    queue: (name, options) => new classes.Queue(name, { ...options, connection }),
    events: (name) => new classes.QueueEvents(name, { connection }),
    worker: (name, processor, options) => new classes.Worker(name, processor, { ...options, connection }),
    close: () => turns.close(),
  };
}

/** Connects when it is first asked for a client; later it gives the client as it is, which reconnects by itself. */
function connectingAtFirstUse(
  make: () => ReturnType<typeof createRedisClient>,
): () => Promise<ReturnType<typeof createRedisClient>> {
  let client: ReturnType<typeof createRedisClient> | undefined;
  let connecting: Promise<void> | undefined;
  return async () => {
    if (!client) {
      client = make();
      // Failures reach the callers of commands; without a listener the emitter would end the process.
      client.on('error', () => {});
    }
    if (client.status === 'wait')
      connecting = client.connect().finally(() => {
        connecting = undefined;
      });
    await connecting;
    return client;
  };
}
