import { BadRequestException, type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { CacheModule } from '@sparkle/cache';
import { parseTenantId, TenantContext, type TenantId, TenantIdInvalidError } from '@sparkle/contracts';
import { CourseCatalog } from './course-catalog.js';
import { CoursesController } from './courses.controller.js';
import { RedisConnections } from './redis-connections.js';

@Module({
  providers: [{ provide: RedisConnections, useFactory: () => RedisConnections.open(process.env.REDIS_URL) }],
  exports: [RedisConnections],
})
class RedisModule {}

interface RequestHeaders {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

@Module({
  imports: [
    CacheModule.forRootAsync({
      imports: [RedisModule],
      inject: [RedisConnections],
      useFactory: ({ cache }: RedisConnections) => (cache ? { redis: cache } : {}),
    }),
  ],
  controllers: [CoursesController],
  providers: [CourseCatalog],
})
export class AppModule implements NestModule {
  /** Stands for authentication: a header says which tenant asks. */
  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply((request: RequestHeaders, _response: unknown, next: () => void) => {
        const tenantId = tenantOf(request.headers['x-tenant'] ?? 'public');
        TenantContext.run({ tenantId, userId: request.headers['x-user'] ?? 'guest', scopes: [] }, next);
      })
      .forRoutes('*path');
  }
}

/** The libraries throw no HTTP exceptions: the application says what a wrong tenant means to a client. */
function tenantOf(name: string): TenantId {
  try {
    return parseTenantId(name);
  } catch (error) {
    throw error instanceof TenantIdInvalidError ? new BadRequestException(error.message) : error;
  }
}
