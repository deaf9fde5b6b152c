import { availableParallelism } from 'node:os';
import type { ExecutionContext } from '@nestjs/common';
import type { Clock, Principal, TenantDatabase } from '@sparkle/contracts';
import { z } from 'zod';
import type { RedisClient } from './adapters/redis/redis-scripts.js';
import { describeProblems } from './core/schema-problems.js';
import { ConcurrencyOptionsInvalidError } from './errors.js';
import { type TenantPlans, tenantPlanSchema } from './ports/tenant-plans.port.js';

function having<T>(what: string, ...methods: (keyof T & string)[]) {
  return z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    { message: `Invalid input: expected ${what}` },
  );
}

const redisClient = having<RedisClient>('an ioredis client', 'evalsha', 'subscribe', 'duplicate');
const milliseconds = z.number().int().positive();
const hourlyLimit = z.strictObject({
  limit: z.number().int().positive(),
  windowMs: milliseconds.default(3_600_000),
});

/** Options of `ConcurrencyModule`; everything but `store` and `plans` has a default. */
export const concurrencyOptionsSchema = z.strictObject({
  /**
   * Where limits, permits and budgets are counted. `redis`: across processes; `subscriber` is a second
   * connection for Pub/Sub. The application makes both connections and closes them.
   */
  store: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('memory') }),
    z
      .strictObject({
        kind: z.literal('redis'),
        client: redisClient,
        subscriber: redisClient,
        /**
         * Whether a restart of Redis loses nothing it has answered (`appendonly yes`, `appendfsync always`).
         * Without that, no permit is granted to anybody new for one lease after Redis has started.
         */
        durable: z.boolean().default(false),
      })
      .refine(({ client, subscriber }) => client !== subscriber, {
        path: ['subscriber'],
        message: 'Invalid input: expected a connection other than client',
      }),
  ]),
  /** First part of every key in Redis. No braces: the tenant is the hash tag. */
  keyPrefix: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'Invalid input: expected 1 to 64 characters of a-z, A-Z, 0-9, "_.:-"')
    .default('sparkle'),
  /** Where tenants' plans come from. A tenant without one is refused unless there is a default. */
  plans: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('static'),
      default: tenantPlanSchema.optional(),
      overrides: z.record(z.string(), tenantPlanSchema).default({}),
    }),
    z.strictObject({
      kind: z.literal('database'),
      database: having<TenantDatabase>('a TenantDatabase', 'withTenant'),
      default: tenantPlanSchema.optional(),
      /** How long a plan is used before it is read again. */
      cacheMs: milliseconds.default(5000),
      /** How long an old plan is used while the database fails. */
      staleOnErrorMs: z.number().int().min(0).default(60_000),
    }),
    z.strictObject({ kind: z.literal('custom'), plans: having<TenantPlans>('TenantPlans', 'get', 'reload') }),
  ]),
  /** Sliding windows of actions named by `@RateLimit`, per tenant. */
  rateLimits: z
    .strictObject({
      /** Each user, over all actions. */
      user: hourlyLimit.prefault({ limit: 100 }),
      /** Each action, over all users. */
      action: hourlyLimit.prefault({ limit: 1000 }),
      /** The whole tenant. */
      tenant: hourlyLimit.prefault({ limit: 5000 }),
    })
    .prefault({}),
  /** What the guard's limiter does while the store fails. */
  outagePolicy: z.enum(['open', 'closed', 'local']).default('local'),
  /**
   * Milliseconds a rate limit waits for Redis before the outage policy decides. The default leaves the event
   * loop ten more, so that a decision takes 50 at most.
   */
  limitBudgetMs: milliseconds.default(40),
  /** Milliseconds a permit or token budget command waits for Redis before it fails. */
  commandBudgetMs: milliseconds.default(1000),
  permits: z
    .strictObject({
      /** A crashed holder's permit is free after this. */
      leaseMs: z.number().int().min(50).default(30_000),
      /** How long `acquire` waits. */
      timeoutMs: z.number().int().min(0).default(60_000),
      /** Bound of each semaphore's queue. */
      maxWaiting: z.number().int().positive().default(10_000),
    })
    .prefault({}),
  tokenBudget: z
    .strictObject({
      /** An unsettled reservation gives its tokens back after this. */
      reservationMs: milliseconds.default(300_000),
    })
    .prefault({}),
  /** The `PriorityScheduler` of this process. */
  scheduler: z
    .strictObject({
      /** Tasks running at once. */
      concurrency: z.number().int().positive().default(8),
      /** Tasks waiting at once. 0: none waits. */
      maxQueued: z.number().int().min(0).default(1000),
      /** Tasks of one tenant waiting at once. Default: a quarter of `maxQueued`. */
      maxQueuedPerTenant: z.number().int().min(0).optional(),
      /** `drop-lowest`: an urgent task takes the place of a less urgent one. */
      whenFull: z.enum(['reject', 'drop-lowest']).default('reject'),
      /** How long a task may run. */
      timeoutMs: milliseconds.default(30_000),
      /** A class whose oldest task has waited for this long gets turns. */
      ageingMs: z.number().int().min(0).default(5000),
    })
    .prefault({}),
  /** The worker threads that tenants' tasks run in. */
  threads: z
    .strictObject({
      /** Of all tenants together. Default: twice as many as processors, at least 8. */
      maxThreads: z
        .number()
        .int()
        .positive()
        .default(() => Math.max(8, 2 * availableParallelism())),
      /** How many of them only a tenant that keeps none busy may take. Default: one, unless there is only one. */
      reservedThreads: z.number().int().min(0).optional(),
      /** Tasks of one tenant waiting at once. */
      maxQueued: z.number().int().positive().default(1000),
      /** How long a task may take, waiting included. */
      timeoutMs: milliseconds.max(2_147_483_647).default(30_000),
      /** How long a thread lives without work. */
      idleMs: milliseconds.default(60_000),
      /** How long an idle thread, its tenant's only one, is safe from tenants that want a further one. */
      warmMs: z.number().int().min(0).default(1000),
      /** Heap of a thread, in MiB; buffers are not in it. A thread that needs more dies alone. */
      heapMb: z.number().int().min(8).default(256),
      /** The threads' `process.env`. The application's secrets are not in it unless you put them there. */
      env: z.record(z.string(), z.string()).default({}),
    })
    .refine(({ maxThreads, reservedThreads = 0 }) => reservedThreads < maxThreads, {
      path: ['reservedThreads'],
      message: 'Invalid input: expected less than maxThreads',
    })
    .prefault({}),
  /**
   * Who asks, for the guard and the interceptor, on whatever transport. Default: the `TenantContext`, which
   * must be set before guards run (HTTP middleware does).
   */
  principalOf: z
    .custom<(context: ExecutionContext) => Principal | undefined>((value) => typeof value === 'function', {
      message: 'Invalid input: expected a function',
    })
    .optional(),
  /** The source of time. Default: the system's. */
  clock: having<Clock>('a Clock', 'monotonic', 'schedule').optional(),
});

/** What `forRoot` and `forRootAsync` take. */
export type ConcurrencyModuleOptions = z.input<typeof concurrencyOptionsSchema>;

/** The options with their defaults. */
export type ConcurrencyOptions = z.output<typeof concurrencyOptionsSchema>;

/** Injection token of the parsed {@link ConcurrencyOptions}. */
export const ConcurrencyOptions = Symbol('ConcurrencyOptions');

/** @throws ConcurrencyOptionsInvalidError listing every wrong path. */
export function parseConcurrencyOptions(options: unknown): ConcurrencyOptions {
  const parsed = concurrencyOptionsSchema.safeParse(options);
  if (!parsed.success) throw new ConcurrencyOptionsInvalidError(describeProblems(parsed.error));
  return parsed.data;
}
