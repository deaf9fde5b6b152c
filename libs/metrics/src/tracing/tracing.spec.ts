import { Body, Controller, Get, Injectable, Module, Param, Post, Sse } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { trace } from '@opentelemetry/api';
import { channels, SparkleError } from '@sparkle/contracts';
import { interval, map, take } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  currentTraceId,
  MetricsModule,
  type MetricsOptions,
  PrometheusMetrics,
  runInSpan,
  TracingConflictError,
} from '../index.js';
import { OtlpCollector, parseExposition } from '../testing/index.js';
import { MAX_SPANS_PER_KIND } from './span-scope.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${PARENT}-01`;

class QuotaExceededError extends SparkleError {
  readonly code = 'QUOTA_EXCEEDED';
}

@Injectable()
class Upstream {
  address = '';
}

function query(tenantId: string, durationMs = 1): void {
  channels.database.publish({ kind: 'query', tenantId, durationMs, failed: false });
}

@Controller('things')
class ThingsController {
  constructor(private readonly upstream: Upstream) {}

  @Get('quota')
  quota(): never {
    throw new QuotaExceededError('secret content');
  }

  @Get('many')
  many(): string {
    for (let n = 0; n < 1000; n++) query('acme', 2);
    return 'done';
  }

  @Get('upstream')
  async ask(): Promise<unknown> {
    return (await fetch(`${this.upstream.address}/model?key=secret`, { method: 'POST', body: 'x' })).json();
  }

  @Sse('stream')
  stream() {
    return interval(20).pipe(
      take(3),
      map((n) => ({ data: String(n) })),
    );
  }

  @Get('echo')
  echo() {
    return {};
  }

  @Get(':id')
  one(@Param('id') id: string) {
    query('acme', 5);
    query('other-tenant', 5);
    return { id, traceId: currentTraceId() };
  }

  @Post()
  async make(@Body() body: object) {
    await new Promise((resolve) => setImmediate(resolve));
    channels.model.publish({
      tenantId: 'acme',
      model: 'qwen',
      operation: 'generate',
      outcome: 'timeout',
      durationMs: 30,
      inputTokens: 7,
      outputTokens: 0,
    });
    return { ...body, traceId: currentTraceId() };
  }
}

describe.each(['fastify', 'express'] as const)('requests of a traced application on %s', (platform) => {
  let collector: OtlpCollector;
  let close: (() => Promise<void>) | undefined;

  beforeEach(async () => {
    collector = await OtlpCollector.start();
  });

  afterEach(async () => {
    await close?.();
    close = undefined;
    await collector.close();
  });

  async function start(tracing: MetricsOptions['tracing'], upstream = '') {
    @Module({
      imports: [MetricsModule.forRoot({ tracing })],
      controllers: [ThingsController],
      providers: [{ provide: Upstream, useValue: { address: upstream } }],
    })
    class AppModule {}

    const adapter =
      platform === 'fastify' ? new FastifyAdapter({ forceCloseConnections: true }) : new ExpressAdapter();
    const app = await NestFactory.create(AppModule, adapter, { logger: false, abortOnError: false });
    await app.listen(0, '127.0.0.1');
    close = () => app.close();
    const url = await app.getUrl();
    const scrape = async () => parseExposition(await app.get(PrometheusMetrics).scrape());
    return { app, url, scrape };
  }

  const exporting = (more: object = {}): MetricsOptions['tracing'] => ({
    mode: 'otlp',
    endpoint: collector.endpoint,
    intervalMs: 20,
    ...more,
  });
  const collected = async (traceId: string, spans: number) => {
    await expect.poll(() => collector.trace(traceId).length, { timeout: 5000 }).toBe(spans);
    return collector.trace(traceId);
  };

  it('continue the trace of the caller, named by route and never by URL, and tell their own span', async () => {
    const { url } = await start(exporting({ serviceName: 'shop', headers: { 'api-key': 'k' } }));
    const response = await fetch(`${url}/things/alpha-secret?token=abc`, { headers: { traceparent } });

    expect(((await response.json()) as { traceId: string }).traceId).toBe(TRACE);
    const spans = await collected(TRACE, 2);
    const server = spans.find(({ kind }) => kind === 2)!;
    expect(server).toMatchObject({
      service: 'shop',
      parentSpanId: PARENT,
      name: 'GET /things/:id',
      failed: false,
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/things/:id',
        'http.response.status_code': 200,
        'sparkle.tenant': 'acme',
        'sparkle.database.count': 1,
      },
    });
    expect(response.headers.get('traceresponse')).toBe(`00-${TRACE}-${server.spanId}-01`);
    expect(collector.requests[0]).toMatchObject({ 'api-key': 'k' });
    expect(JSON.stringify(collector.spans)).not.toMatch(/secret|abc/);
  });

  it('have what libraries did for them as children, and nothing of another tenant', async () => {
    const { url } = await start(exporting());
    await fetch(`${url}/things/1`, { headers: { traceparent } });

    const spans = await collected(TRACE, 2);
    const server = spans.find(({ kind }) => kind === 2)!;
    const child = spans.find(({ name }) => name === 'postgresql query')!;
    expect(child).toMatchObject({
      parentSpanId: server.spanId,
      kind: 3,
      attributes: { 'db.system.name': 'postgresql', 'sparkle.tenant': 'acme' },
    });
    expect(child.endMs - child.startMs).toBeCloseTo(5, 0);
    expect(JSON.stringify(collector.spans)).not.toContain('other-tenant');
  });

  it('keep their trace while a body is read, and show a failed model call by its outcome', async () => {
    const { url } = await start(exporting());
    const response = await fetch(`${url}/things`, {
      method: 'POST',
      headers: { traceparent, 'content-type': 'application/json' },
      body: JSON.stringify({ text: 'x'.repeat(50_000) }),
    });

    expect(((await response.json()) as { traceId: string }).traceId).toBe(TRACE);
    const spans = await collected(TRACE, 2);
    expect(spans.find(({ name }) => name === 'chat qwen')).toMatchObject({
      failed: true,
      attributes: {
        'error.type': 'timeout',
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'qwen',
        'gen_ai.usage.input_tokens': 7,
      },
    });
  });

  it('have a bounded number of spans, and the sums of all work', async () => {
    const { url } = await start(exporting());
    await fetch(`${url}/things/many`, { headers: { traceparent } });

    const spans = await collected(TRACE, 1 + MAX_SPANS_PER_KIND);
    expect(spans.find(({ kind }) => kind === 2)?.attributes).toMatchObject({
      'sparkle.database.count': 1000,
      'sparkle.database.duration_ms': 2000,
      'sparkle.spans_left_out': 1000 - MAX_SPANS_PER_KIND,
    });
  });

  it('fail by the code of an error, never by its message', async () => {
    const { url } = await start(exporting());
    await fetch(`${url}/things/quota`, { headers: { traceparent } });

    const [server] = await collected(TRACE, 1);
    expect(server).toMatchObject({ failed: true, attributes: { 'error.type': 'QUOTA_EXCEEDED' } });
    expect(JSON.stringify(collector.spans)).not.toContain('secret content');
  });

  it('hand their trace on to the servers they ask, and show neither path nor query of those', async () => {
    const { url } = await start(exporting());
    const upstream = await OtlpCollector.start();
    await close?.();
    const asking = await start(exporting(), upstream.base);
    expect(asking.url).not.toBe(url);
    await fetch(`${asking.url}/things/upstream`, { headers: { traceparent } });

    const spans = await collected(TRACE, 2);
    const client = spans.find(({ kind }) => kind === 3)!;
    expect(client).toMatchObject({
      name: 'POST',
      failed: true,
      attributes: { 'http.response.status_code': 404, 'server.address': '127.0.0.1' },
    });
    expect(upstream.requests[0]?.traceparent).toBe(`00-${TRACE}-${client.spanId}-01`);
    expect(JSON.stringify(collector.spans)).not.toContain('secret');
    await upstream.close();
  });

  it('last until their event stream has ended', async () => {
    const { url } = await start(exporting());
    const response = await fetch(`${url}/things/stream`, {
      headers: { traceparent, accept: 'text/event-stream' },
    });
    const headersAt = Date.now();
    await response.text();

    const [server] = await collected(TRACE, 1);
    expect(server!.name).toBe('GET /things/stream');
    expect(server!.endMs).toBeGreaterThan(headersAt);
  });

  it('follow the decision of the caller, unless the sampler says otherwise', async () => {
    const { url } = await start(exporting());
    const unsampled = `00-${TRACE}-${PARENT}-00`;
    const response = await fetch(`${url}/things/1`, { headers: { traceparent: unsampled } });
    expect(response.headers.get('traceresponse')).toMatch(new RegExp(`^00-${TRACE}-.*-00$`));
    await close?.();
    close = undefined;
    expect(collector.spans).toEqual([]);

    const stubborn = await start(exporting({ sampler: 'always_on' }));
    await fetch(`${stubborn.url}/things/1`, { headers: { traceparent: unsampled } });
    await collected(TRACE, 2);
  });

  it('begin a trace of their own where a traceparent is none', async () => {
    const { url } = await start(exporting());
    const response = await fetch(`${url}/things/echo`, {
      headers: { traceparent: `00-${'0'.repeat(32)}-x-01` },
    });
    const traceId = response.headers.get('traceresponse')!.split('-')[1]!;
    expect(traceId).not.toBe('0'.repeat(32));
    expect(await collected(traceId, 1)).toMatchObject([{ parentSpanId: '' }]);
  });

  it('are not traced when they are probes of health and metrics', async () => {
    const { url } = await start(exporting());
    for (const path of ['/health/live', '/health/ready', '/health/performance', '/metrics'])
      expect((await fetch(url + path)).headers.has('traceresponse')).toBe(false);
    await close?.();
    close = undefined;
    expect(collector.spans).toEqual([]);
  });

  it('go on as before while the collector refuses, and what is lost is counted', async () => {
    collector.mood = 'refusing';
    const { url, scrape } = await start(exporting({ timeoutMs: 100, maxWaitingSpans: 64 }));
    expect((await fetch(`${url}/things/many`)).status).toBe(200);
    await expect
      .poll(
        async () =>
          (await scrape())
            .filter(({ name }) => name === 'trace_spans_dropped_total')
            .reduce((sum, { value }) => sum + value, 0),
        { timeout: 5000 },
      )
      .toBe(1 + MAX_SPANS_PER_KIND);

    collector.mood = 'taking';
    await fetch(`${url}/things/1`, { headers: { traceparent } });
    await collected(TRACE, 2);
    const exported = (await scrape()).find(({ name }) => name === 'trace_spans_exported_total');
    expect(exported?.value).toBe(2);
  });

  it('go on while the collector never answers: spans beyond the bound are dropped, and the end does not wait', async () => {
    collector.mood = 'stalled';
    const { url, scrape, app } = await start(exporting({ maxWaitingSpans: 64, flushMs: 50 }));
    for (let n = 0; n < 10; n++) expect((await fetch(`${url}/things/many`)).status).toBe(200);
    await expect.poll(async () => (await dropped(scrape)).queue_full).toBeGreaterThan(0);

    await app.close();
    close = undefined;
    const lost = await dropped(scrape);
    expect((lost.queue_full ?? 0) + (lost.shutdown ?? 0)).toBe(10 * (1 + MAX_SPANS_PER_KIND));
  });

  it('have arrived when the application has ended in order', async () => {
    const { url, app } = await start(exporting({ intervalMs: 60_000 }));
    await fetch(`${url}/things/1`, { headers: { traceparent } });
    await app.close();
    close = undefined;
    expect(collector.trace(TRACE)).toHaveLength(2);
  });

  it('leave no trace at all, nor a subscriber, unless tracing is configured', async () => {
    const { url } = await start(undefined);
    const response = await fetch(`${url}/things/1`, { headers: { traceparent } });
    expect(response.headers.has('traceresponse')).toBe(false);
    expect(((await response.json()) as { traceId?: string }).traceId).toBeUndefined();
    expect(trace.getTracer('x').startSpan('x').isRecording()).toBe(false);
  });

  async function dropped(scrape: () => Promise<ReturnType<typeof parseExposition>>) {
    const samples = (await scrape()).filter(({ name }) => name === 'trace_spans_dropped_total');
    return Object.fromEntries(samples.map(({ labels, value }) => [labels.reason, value]));
  }
});

describe('runInSpan', () => {
  let collector: OtlpCollector;
  let close: () => Promise<void>;

  beforeEach(async () => {
    collector = await OtlpCollector.start();
    @Module({
      imports: [
        MetricsModule.forRoot({
          tracing: { mode: 'otlp', endpoint: collector.endpoint, intervalMs: 60_000 },
        }),
      ],
    })
    class AppModule {}
    const app = await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
    await app.init();
    close = () => app.close();
  });

  afterEach(() => collector.close());

  it('continues the trace of a carrier, whatever its kind of work, and ends with it', async () => {
    const carrier = { traceparent };
    const value = await runInSpan('door/Ask', { kind: 'server', carrier }, async () => {
      query('acme');
      return currentTraceId();
    });
    expect(value).toBe(TRACE);
    expect(runInSpan('door/Now', { carrier }, () => 7)).toBe(7);
    await expect(
      runInSpan('door/Fails', { carrier }, () => Promise.reject(new QuotaExceededError('secret'))),
    ).rejects.toBeInstanceOf(QuotaExceededError);
    await close();

    const spans = collector.trace(TRACE);
    const ask = spans.find(({ name }) => name === 'door/Ask')!;
    expect(ask).toMatchObject({ kind: 2, parentSpanId: PARENT, attributes: { 'sparkle.tenant': 'acme' } });
    expect(spans.find(({ name }) => name === 'postgresql query')?.parentSpanId).toBe(ask.spanId);
    expect(spans.find(({ name }) => name === 'door/Now')).toBeDefined();
    expect(spans.find(({ name }) => name === 'door/Fails')).toMatchObject({
      failed: true,
      attributes: { 'error.type': 'QUOTA_EXCEEDED' },
    });
  });

  it('is refused a second exporter in one process, and told what to do', async () => {
    @Module({
      imports: [MetricsModule.forRoot({ tracing: { mode: 'otlp', endpoint: collector.endpoint } })],
    })
    class SecondModule {}
    const starting = NestFactory.create(SecondModule, new FastifyAdapter(), {
      logger: false,
      abortOnError: false,
    }).then((app) => app.init());
    await expect(starting).rejects.toBeInstanceOf(TracingConflictError);
    await close();
  });
});
