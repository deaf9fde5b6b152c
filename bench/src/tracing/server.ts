import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { channels, parseTenantId, TenantContext } from '@sparkle/contracts';
import { MetricsModule, type MetricsOptions, Profiler } from '@sparkle/metrics';

/** What the benchmark asks this process to do; it answers when it is done, and to `cpu` with its CPU microseconds. */
export type Order = 'profile' | 'stop profiling' | 'cpu';

const [, , mode, endpoint] = process.argv;

const TRACING: Readonly<Record<string, MetricsOptions['tracing']>> = {
  off: { mode: 'off' },
  all: { mode: 'otlp', endpoint: endpoint!, maxWaitingSpans: 20_000, intervalMs: 1000 },
  tenth: { mode: 'otlp', endpoint: endpoint!, sampler: 'parentbased_traceidratio', ratio: 0.1 },
};

const CALLER = { tenantId: parseTenantId('acme'), userId: 'alice', scopes: ['read'] };

/** A request that publishes what one answer of the product does: queries, a transaction, cache, limit, model. */
@Controller('answers')
class AnswersController {
  @Get(':id')
  answer(@Param('id') id: string) {
    // Every request of the product runs in its caller's context, traced or not.
    return TenantContext.run(CALLER, () => answerOf(id));
  }
}

function answerOf(id: string) {
  const { tenantId } = CALLER;
  channels.limit.publish({ tenantId, limiter: 'tenant', kind: 'rate', outcome: 'admitted', waitMs: 0 });
  channels.cache.publish({ tenantId, namespace: 'answers', tier: 'l2', outcome: 'miss', durationMs: 1 });
  for (let query = 0; query < 5; query++)
    channels.database.publish({ kind: 'query', tenantId, durationMs: 1, failed: false });
  channels.database.publish({ kind: 'transaction', tenantId, outcome: 'commit', durationMs: 6 });
  channels.model.publish({
    tenantId,
    model: 'local',
    operation: 'generate',
    outcome: 'success',
    durationMs: 20,
    inputTokens: 300,
    outputTokens: 60,
  });
  return { id, answer: 'The mitochondrion is the powerhouse of the cell.' };
}

@Module({
  imports: [MetricsModule.forRoot({ tracing: TRACING[mode!] })],
  controllers: [AnswersController],
})
class ServerModule {}

const app = await NestFactory.create<NestFastifyApplication>(ServerModule, new FastifyAdapter(), {
  logger: false,
});
await app.listen(0, '127.0.0.1');
const profiler = app.get(Profiler);
let leaving: AbortController | undefined;
let profile: Promise<unknown> | undefined;
process.on('message', (order: Order) => {
  if (order === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
    return;
  }
  if (order === 'profile') {
    leaving = new AbortController();
    profile = profiler.cpu({ seconds: 60 }, leaving.signal).catch(() => {});
    process.send?.(order);
    return;
  }
  leaving?.abort();
  void Promise.resolve(profile).then(() => process.send?.(order));
});
process.send?.(await app.getUrl());
