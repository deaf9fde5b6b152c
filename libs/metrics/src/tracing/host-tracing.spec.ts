import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { channels } from '@sparkle/contracts';
import { afterEach, expect, it } from 'vitest';
import { MetricsModule } from '../index.js';

@Controller('things')
class ThingsController {
  @Get()
  all(): string {
    channels.database.publish({ kind: 'query', tenantId: 'acme', durationMs: 1, failed: false });
    return 'done';
  }
}

@Module({ imports: [MetricsModule.forRoot({ tracing: { mode: 'host' } })], controllers: [ThingsController] })
class AppModule {}

afterEach(() => {
  trace.disable();
  context.disable();
  propagation.disable();
});

it("hands spans to the application's own OpenTelemetry, and leaves that running when it ends", async () => {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
  await app.listen(0, '127.0.0.1');
  await (await fetch(`${await app.getUrl()}/things`)).text();
  await expect.poll(() => exporter.getFinishedSpans().length).toBe(2);
  await app.close();

  const [query, server] = exporter.getFinishedSpans();
  expect(server?.name).toBe('GET /things');
  expect(query?.parentSpanContext?.spanId).toBe(server?.spanContext().spanId);
  expect(trace.getTracer('own').startSpan('later').isRecording()).toBe(true);
});
