import { type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { ConcurrencyModule, TenantRateLimitGuard } from '@sparkle/concurrency';
import { parseTenantId, TenantContext } from '@sparkle/contracts';
import type { NextFunction, Request, Response } from 'express';
import { AnswersController } from './answers.controller.js';
import { ProblemFilter } from './problem.filter.js';
import { RedisConnections } from './redis-connections.js';

const plan = {
  qps: 50,
  burst: 50,
  permits: 2,
  threadShare: 1,
  tokenBudget: { tokens: 10_000, windowMs: 86_400_000 },
};

@Module({
  providers: [{ provide: RedisConnections, useFactory: () => RedisConnections.open(process.env.REDIS_URL) }],
  exports: [RedisConnections],
})
class RedisModule {}

/** Counts in Redis when there is one, so that several processes share the limits. */
function storeOf({ limits }: RedisConnections) {
  if (!limits) return { kind: 'memory' } as const;
  // A Redis that may lose permits in a restart has them wait for one lease (30 s) after it.
  const durable = process.env.REDIS_DURABLE === 'true';
  return { kind: 'redis', ...limits, durable } as const;
}

@Module({
  imports: [
    ConcurrencyModule.forRootAsync({
      imports: [RedisModule],
      inject: [RedisConnections],
      useFactory: (redis: RedisConnections) => ({
        store: storeOf(redis),
        plans: { kind: 'static' as const, overrides: { acme: plan, globex: plan } },
      }),
    }),
  ],
  controllers: [AnswersController],
  providers: [
    { provide: APP_GUARD, useExisting: TenantRateLimitGuard },
    { provide: APP_FILTER, useClass: ProblemFilter },
  ],
})
export class AppModule implements NestModule {
  /** Stands for authentication: a header says which tenant and user ask. */
  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply((request: Request, _response: Response, next: NextFunction) => {
        const tenantId = parseTenantId(request.get('x-tenant') ?? 'nobody');
        TenantContext.run({ tenantId, userId: request.get('x-user') ?? 'guest', scopes: [] }, next);
      })
      .forRoutes('*path');
  }
}
