import { Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type Clock, SystemClock } from '@sparkle/contracts';
import { DatabaseTenantPlans } from './adapters/database/database-tenant-plans.js';
import { MemoryPermitStore } from './adapters/memory/memory-permit.store.js';
import { MemoryRateLimitStore } from './adapters/memory/memory-rate-limit.store.js';
import { MemoryTokenBudgetStore } from './adapters/memory/memory-token-budget.store.js';
import { StaticTenantPlans } from './adapters/memory/static-tenant-plans.js';
import { PiscinaThreads } from './adapters/piscina/piscina-threads.js';
import { RedisPermitStore } from './adapters/redis/redis-permit.store.js';
import { RedisRateLimitStore } from './adapters/redis/redis-rate-limit.store.js';
import { RedisScripts } from './adapters/redis/redis-scripts.js';
import { RedisTokenBudgetStore } from './adapters/redis/redis-token-budget.store.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './concurrency.module-definition.js';
import {
  type ConcurrencyModuleOptions,
  ConcurrencyOptions,
  parseConcurrencyOptions,
} from './concurrency.options.js';
import { PriorityScheduler } from './core/priority-scheduler.js';
import { RateLimiter } from './core/rate-limiter.js';
import { Semaphores } from './core/semaphores.js';
import { TenantRateLimits } from './core/tenant-rate-limits.js';
import { TenantThreads } from './core/tenant-threads.js';
import { TokenBudget } from './core/token-budget.js';
import { PermitInterceptor } from './nest/permit.interceptor.js';
import { TenantRateLimitGuard } from './nest/tenant-rate-limit.guard.js';
import { PermitStore } from './ports/permit-store.port.js';
import { RateLimitStore } from './ports/rate-limit-store.port.js';
import { TaskThreads } from './ports/task-threads.port.js';
import { TenantPlans } from './ports/tenant-plans.port.js';
import { TokenBudgetStore } from './ports/token-budget-store.port.js';

/** The clock of this module's providers. */
const CONCURRENCY_CLOCK = Symbol('ConcurrencyClock');

function scriptsOf(options: ConcurrencyOptions, clock: Clock, budgetMs: number): RedisScripts | undefined {
  return options.store.kind === 'redis' ? new RedisScripts(options.store.client, clock, budgetMs) : undefined;
}

function plansOf({ plans }: ConcurrencyOptions, clock: Clock): TenantPlans {
  switch (plans.kind) {
    case 'static':
      return new StaticTenantPlans(plans.default, plans.overrides);
    case 'database': {
      const { cacheMs, staleOnErrorMs } = plans;
      return new DatabaseTenantPlans(plans.database, clock, {
        defaultPlan: plans.default,
        cacheMs,
        staleOnErrorMs,
      });
    }
    case 'custom':
      return plans.plans;
  }
}

const inject = [ConcurrencyOptions, CONCURRENCY_CLOCK];

/** Rate limits, permits, token budgets and tenants' plans; global unless `isGlobal` is false. */
@Module({
  providers: [
    {
      provide: ConcurrencyOptions,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: (options: ConcurrencyModuleOptions) => parseConcurrencyOptions(options),
    },
    {
      provide: CONCURRENCY_CLOCK,
      inject: [ConcurrencyOptions],
      useFactory: (options: ConcurrencyOptions) => options.clock ?? new SystemClock(),
    },
    { provide: TenantPlans, inject, useFactory: plansOf },
    {
      provide: RateLimitStore,
      inject,
      useFactory: (options: ConcurrencyOptions, clock: Clock): RateLimitStore => {
        const scripts = scriptsOf(options, clock, options.limitBudgetMs);
        return scripts
          ? new RedisRateLimitStore(scripts, options.keyPrefix)
          : new MemoryRateLimitStore(clock);
      },
    },
    {
      provide: PermitStore,
      inject,
      useFactory: (options: ConcurrencyOptions, clock: Clock): PermitStore => {
        const scripts = scriptsOf(options, clock, options.commandBudgetMs);
        return scripts && options.store.kind === 'redis'
          ? new RedisPermitStore(scripts, options.store.subscriber, options.keyPrefix, {
              durable: options.store.durable,
            })
          : new MemoryPermitStore(clock);
      },
    },
    {
      provide: TokenBudgetStore,
      inject,
      useFactory: (options: ConcurrencyOptions, clock: Clock): TokenBudgetStore => {
        const scripts = scriptsOf(options, clock, options.commandBudgetMs);
        return scripts
          ? new RedisTokenBudgetStore(scripts, options.keyPrefix)
          : new MemoryTokenBudgetStore(clock);
      },
    },
    {
      provide: RateLimiter,
      inject: [ConcurrencyOptions, CONCURRENCY_CLOCK, RateLimitStore],
      useFactory: (options: ConcurrencyOptions, clock: Clock, store: RateLimitStore) =>
        new RateLimiter(store, new MemoryRateLimitStore(clock), clock, {
          name: 'requests',
          outagePolicy: options.outagePolicy,
        }),
    },
    {
      provide: TenantRateLimits,
      inject: [ConcurrencyOptions, RateLimiter, TenantPlans],
      useFactory: ({ rateLimits }: ConcurrencyOptions, limiter: RateLimiter, plans: TenantPlans) =>
        new TenantRateLimits(limiter, plans, rateLimits),
    },
    {
      provide: Semaphores,
      inject: [ConcurrencyOptions, CONCURRENCY_CLOCK, PermitStore],
      useFactory: (options: ConcurrencyOptions, clock: Clock, store: PermitStore) =>
        new Semaphores(store, clock, options.permits),
    },
    {
      provide: TokenBudget,
      inject: [ConcurrencyOptions, TokenBudgetStore, TenantPlans],
      useFactory: (options: ConcurrencyOptions, store: TokenBudgetStore, plans: TenantPlans) =>
        new TokenBudget(store, async (tenantId) => (await plans.get(tenantId)).tokenBudget, {
          name: 'tokens',
          ...options.tokenBudget,
        }),
    },
    {
      provide: PriorityScheduler,
      inject,
      useFactory: ({ scheduler }: ConcurrencyOptions, clock: Clock) =>
        new PriorityScheduler(clock, scheduler),
    },
    {
      provide: TaskThreads,
      inject: [ConcurrencyOptions],
      useFactory: ({ threads }: ConcurrencyOptions): TaskThreads =>
        new PiscinaThreads({
          resourceLimits: { maxOldGenerationSizeMb: threads.heapMb },
          env: threads.env,
        }),
    },
    {
      provide: TenantThreads,
      inject: [ConcurrencyOptions, CONCURRENCY_CLOCK, TaskThreads, TenantPlans],
      useFactory: ({ threads }: ConcurrencyOptions, clock: Clock, host: TaskThreads, plans: TenantPlans) =>
        new TenantThreads(host, plans, clock, threads),
    },
    TenantRateLimitGuard,
    PermitInterceptor,
  ],
  exports: [
    ConcurrencyOptions,
    TenantPlans,
    PermitStore,
    RateLimitStore,
    RateLimiter,
    TenantRateLimits,
    Semaphores,
    TokenBudget,
    PriorityScheduler,
    TenantThreads,
    TenantRateLimitGuard,
    PermitInterceptor,
  ],
})
export class ConcurrencyModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(
    @Inject(Semaphores) private readonly semaphores: Semaphores,
    @Inject(PriorityScheduler) private readonly scheduler: PriorityScheduler,
    @Inject(TenantThreads) private readonly threads: TenantThreads,
    @Inject(ConcurrencyOptions) private readonly options: ConcurrencyOptions,
    @Inject(CONCURRENCY_CLOCK) private readonly clock: Clock,
  ) {
    super();
  }

  /**
   * Ends the waiting before connections are closed. Scheduled tasks that run are told to stop, and waited for
   * no longer than a task may take; tasks in tenants' threads are waited for as long, then stopped.
   */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([
      this.semaphores.close(),
      this.threads.close(this.options.threads.timeoutMs),
      Promise.race([
        this.scheduler.close({ cancel: true }),
        this.clock.sleep(this.options.scheduler.timeoutMs),
      ]),
    ]);
  }
}
