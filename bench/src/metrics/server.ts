import 'reflect-metadata';
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Module,
  type NestInterceptor,
  Param,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { channels } from '@sparkle/contracts';
import { MetricsModule } from '@sparkle/metrics';
import { attachPromClient } from './prom-client-peer.js';

/** A Nest application on Fastify, started by the benchmark with one of these. */
export type Instrumentation = 'none' | 'sparkle' | 'prom-client' | 'empty interceptor';

const DOCUMENT = JSON.stringify(
  Array.from({ length: 300 }, (_, index) => ({
    id: index,
    title: `Item ${index}`,
    tags: ['a', 'b'],
    price: 1.5,
  })),
);

/** What every Nest application with an interceptor pays, whatever that does. */
class EmptyInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle();
  }
}

@Controller()
class ItemsController {
  @Get('items/:id')
  item(@Param('id') id: string): { id: string } {
    return { id };
  }

  /** As much work as a small answer of the product: some 0.2 ms. */
  @Get('work/:id')
  work(@Param('id') id: string): { id: string; length: number } {
    return { id, length: JSON.stringify(JSON.parse(DOCUMENT)).length };
  }

  /** Publishes what a cached answer of the product does. */
  @Get('answers/:id')
  answer(@Param('id') id: string): { id: string } {
    const tenantId = `tenant-${id}`;
    channels.limit.publish({ tenantId, limiter: 'answers', kind: 'rate', outcome: 'admitted' });
    channels.cache.publish({
      ...{ tenantId, namespace: 'answers', tier: 'l1', outcome: 'miss', durationMs: 0.01 },
    });
    channels.cache.publish({
      ...{ tenantId, namespace: 'answers', tier: 'exact', outcome: 'hit', durationMs: 0.6 },
    });
    channels.database.publish({ kind: 'query', tenantId, durationMs: 1.2, failed: false });
    channels.database.publish({ kind: 'transaction', tenantId, outcome: 'commit', durationMs: 2.1 });
    return { id };
  }
}

const instrumentation = process.argv[2] as Instrumentation;

@Module({
  imports: instrumentation === 'sparkle' ? [MetricsModule.forRoot()] : [],
  controllers: [ItemsController],
})
class AppModule {}

const adapter = new FastifyAdapter();
if (instrumentation === 'prom-client') attachPromClient(adapter);
const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, { logger: false });
if (instrumentation === 'empty interceptor') app.useGlobalInterceptors(new EmptyInterceptor());
await app.listen(0, '127.0.0.1');
process.send?.(await app.getUrl());
// Asked for between rounds: how much CPU time this process has used so far, in microseconds.
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.once('disconnect', () => process.exit(0));
