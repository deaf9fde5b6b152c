import { request as openRequest } from 'node:http';
import {
  Controller,
  Get,
  Global,
  HttpException,
  Inject,
  Injectable,
  Module,
  NotFoundException,
  Param,
  Post,
  SetMetadata,
  Sse,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Clock, channels, SparkleError } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import { type Histogram, register as processWideRegistry } from 'prom-client';
import { interval, map, take } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  HealthRegistry,
  MemoryFleetFigures,
  MetricsModule,
  type MetricsModuleExtras,
  type MetricsOptions,
  MetricsOptionsInvalidError,
  PerformanceMonitor,
  PrometheusMetrics,
  RequestRecorder,
  Unmeasured,
} from './index.js';
import type { PerformanceBody } from './nest/health.controller.js';
import { type MetricSample, parseExposition } from './testing/index.js';

class QuotaExceededError extends SparkleError {
  readonly code = 'QUOTA_EXCEEDED';
}

@Injectable()
class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

@Controller('things')
class ThingsController {
  constructor(
    @Inject(Gate) private readonly gate: Gate,
    @Inject(Clock) private readonly clock: TestClock,
  ) {}

  @Get('slow/:ms')
  async slow(@Param('ms') ms: string): Promise<string> {
    await this.clock.advance(Number(ms));
    return 'done';
  }

  @Get('gated')
  async gated(): Promise<string> {
    await this.gate.opened;
    return 'done';
  }

  @Get('missing')
  missing(): never {
    throw new NotFoundException();
  }

  @Get('quota')
  quota(): never {
    throw new QuotaExceededError('The quota is used up.');
  }

  @Get('teapot')
  teapot(): never {
    throw new HttpException('short and stout', 418);
  }

  @Sse('stream')
  stream() {
    return interval(1).pipe(
      take(3),
      map((n) => ({ data: String(n) })),
    );
  }

  @Unmeasured(true)
  @Get('quiet')
  quiet(): string {
    return 'done';
  }

  @Get(':id')
  one(@Param('id') id: string): { id: string } {
    return { id };
  }

  @Post()
  create(): string {
    return 'made';
  }
}

describe('MetricsModule in a Fastify application', () => {
  let app: NestFastifyApplication | undefined;

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function start(options: MetricsOptions & MetricsModuleExtras = {}) {
    const clock = new TestClock();

    @Global()
    @Module({ providers: [{ provide: Clock, useValue: clock }, Gate], exports: [Clock, Gate] })
    class EnvironmentModule {}

    const module = await Test.createTestingModule({
      imports: [EnvironmentModule, MetricsModule.forRoot(options)],
      controllers: [ThingsController],
    }).compile();
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const scrape = async (path = '/metrics') => parseExposition(await (await fetch(`${url}${path}`)).text());
    return { app, clock, url, scrape };
  }

  function find(samples: MetricSample[], name: string, labels: Record<string, string> = {}) {
    return samples.find(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value;
  }

  it('labels latency with the route template and the status class, never with the requested URL', async () => {
    const { url, scrape } = await start();
    await fetch(`${url}/things/alpha-secret?token=abc`);
    await fetch(`${url}/things/beta-secret`);
    await fetch(`${url}/nowhere/gamma-secret`);

    const samples = await scrape();

    expect(
      find(samples, 'request_latency_seconds_count', { method: 'GET', route: '/things/:id', status: '2xx' }),
    ).toBe(2);
    expect(find(samples, 'request_latency_seconds_count', { route: 'unmatched', status: '4xx' })).toBe(1);
    expect(JSON.stringify(samples)).not.toContain('secret');
  });

  it('measures from the start of a request to the end of its response, into the buckets promised', async () => {
    const { url, scrape } = await start();
    await fetch(`${url}/things/slow/300`);

    const samples = await scrape();

    const buckets = samples.filter(({ name }) => name === 'request_latency_seconds_bucket');
    expect(buckets.map(({ labels, value }) => [labels.le, value])).toEqual([
      ['0.05', 0],
      ['0.1', 0],
      ['0.2', 0],
      ['0.5', 1],
      ['1', 1],
      ['2', 1],
      ['5', 1],
      ['+Inf', 1],
    ]);
    expect(find(samples, 'request_latency_seconds_sum')).toBe(0.3);
    expect(find(samples, 'request_latency_quantile_seconds', { percentile: '95' })).toBeCloseTo(0.3, 2);
  });

  it('counts errors by the code or class of what the handler threw, and by status where it is unknown', async () => {
    const { url, scrape } = await start();
    for (const path of ['missing', 'quota', 'teapot']) await fetch(`${url}/things/${path}`);
    await fetch(`${url}/nowhere`);

    const samples = await scrape();

    expect(find(samples, 'request_errors_total', { type: 'NotFoundException', status: '4xx' })).toBe(1);
    expect(find(samples, 'request_errors_total', { type: 'QUOTA_EXCEEDED', status: '5xx' })).toBe(1);
    expect(find(samples, 'request_errors_total', { type: 'HttpException', status: '4xx' })).toBe(1);
    expect(find(samples, 'request_errors_total', { type: 'status_404', status: '4xx' })).toBe(1);
    expect(find(samples, 'request_error_ratio')).toBe(0.25);
  });

  it('knows how many requests are active, were active at most, and come per second', async () => {
    const { app, clock, url, scrape } = await start();
    const gated = [fetch(`${url}/things/gated`), fetch(`${url}/things/gated`)];
    await expect.poll(async () => find(await scrape(), 'requests_active')).toBe(3);
    app.get(Gate).open();
    await Promise.all(gated);
    for (let i = 0; i < 18; i++) await fetch(`${url}/things/1`);
    await clock.advance(20_000);

    const samples = await scrape();

    expect(find(samples, 'requests_active')).toBe(1);
    expect(find(samples, 'requests_active_max')).toBe(3);
    expect(find(samples, 'requests_per_second', { window: '10s' })).toBe(0);
    expect(find(samples, 'requests_per_second', { window: '60s' })).toBe(1);
  });

  it('notices a client that leaves before the response', async () => {
    const { app, url, scrape } = await start();
    const request = openRequest(`${url}/things/gated`);
    request.on('error', () => {});
    request.end();
    await expect.poll(async () => find(await scrape(), 'requests_active')).toBe(2);
    request.destroy();

    await expect
      .poll(async () =>
        find(await scrape(), 'request_latency_seconds_count', { route: '/things/gated', status: 'aborted' }),
      )
      .toBe(1);
    expect(find(await scrape(), 'requests_active')).toBe(1);
    app.get(Gate).open();
  });

  it('keeps event streams out of the latency figures', async () => {
    const { url, scrape } = await start();
    const response = await fetch(`${url}/things/stream`, { headers: { accept: 'text/event-stream' } });
    expect(await response.text()).toContain('data: 2');

    const samples = await scrape();

    expect(find(samples, 'request_stream_seconds_count', { route: '/things/stream', status: '2xx' })).toBe(1);
    expect(find(samples, 'request_latency_seconds_count', { route: '/things/stream' })).toBeUndefined();
    expect(find(samples, 'request_latency_quantile_seconds', { percentile: '50' })).toBe(0);
  });

  it('does not count what is marked as unmeasured', async () => {
    const { url, scrape } = await start();
    expect((await fetch(`${url}/things/quiet`)).status).toBe(200);
    const samples = await scrape();
    expect(find(samples, 'request_latency_seconds_count')).toBeUndefined();
    expect(find(samples, 'requests_active')).toBe(1);
  });

  it('does not count its own endpoints, whatever their paths', async () => {
    const { url, scrape } = await start({ metricsPath: '/internal/prometheus', healthPath: 'probes' });
    expect((await fetch(`${url}/probes/live`)).status).toBe(200);
    expect((await fetch(`${url}/probes/performance`)).status).toBe(200);
    await scrape('/internal/prometheus');

    const samples = await scrape('/internal/prometheus');

    expect(find(samples, 'request_latency_seconds_count')).toBeUndefined();
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
  });

  it('leaves the process-wide registry alone and serves two applications apart', async () => {
    const first = await start();
    const other = await Test.createTestingModule({ imports: [MetricsModule.forRoot()] }).compile();
    const otherMetrics = other.get(PrometheusMetrics);
    await fetch(`${first.url}/things/1`);

    expect(find(await first.scrape(), 'request_latency_seconds_count')).toBe(1);
    expect(
      find(parseExposition(await otherMetrics.scrape()), 'request_latency_seconds_count'),
    ).toBeUndefined();
    expect(processWideRegistry.getMetricsAsArray()).toEqual([]);
    await other.close();
  });

  it('hands its metrics to @InjectMetric and takes metrics of the application into its registry', async () => {
    @Injectable()
    class Consumer {
      constructor(@InjectMetric('request_latency_seconds') readonly latency: Histogram) {}
    }
    const module = await Test.createTestingModule({
      imports: [MetricsModule.forRoot({ defaultLabels: { service: 'shop' } })],
      providers: [Consumer],
    }).compile();
    const metrics = module.get(PrometheusMetrics);

    module
      .get(Consumer)
      .latency.observe({ transport: 'http', method: 'GET', route: '/x', status: '2xx' }, 0.1);

    const samples = parseExposition(await metrics.scrape());
    expect(find(samples, 'request_latency_seconds_count', { route: '/x', service: 'shop' })).toBe(1);
    await module.close();
  });

  it('reports the machine, the process and the runtime', async () => {
    const { scrape, clock } = await start();
    await clock.advance(5000);
    await expect.poll(async () => find(await scrape(), 'system_cpu_usage_ratio')).toBeDefined();

    const samples = await scrape();

    for (const name of ['system_cpu_usage_ratio', 'system_memory_usage_ratio', 'system_disk_usage_ratio']) {
      expect(find(samples, name), name).toBeGreaterThanOrEqual(0);
      expect(find(samples, name), name).toBeLessThanOrEqual(1);
    }
    for (const name of [
      'system_cpu_limit_cores',
      'system_memory_limit_bytes',
      'system_disk_free_bytes',
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'process_threads',
      'process_open_fds',
      'process_max_fds',
      'system_memory_used_bytes',
      'nodejs_array_buffers_bytes',
      'nodejs_heap_size_used_bytes',
      'nodejs_active_resources',
    ])
      expect(find(samples, name), name).toBeGreaterThan(0);
    for (const name of ['nodejs_heap_space_used_bytes', 'nodejs_heap_space_size_bytes'])
      expect(find(samples, name, { space: 'old' }), name).toBeGreaterThan(0);
    expect(find(samples, 'system_load_average', { window: '5m' })).toBeGreaterThanOrEqual(0);
    expect(find(samples, 'process_start_time_seconds')).toBeGreaterThan(1.6e9);
  });

  it('is alive, and ready only while every dependency answers, naming the one that does not', async () => {
    const { app, url } = await start();
    const health = app.get(HealthRegistry);
    health.register({ name: 'database', check: async () => {} });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);

    const remove = health.register({
      name: 'redis',
      check: async () => {
        throw new Error('connect ECONNREFUSED redis://:hunter2@10.0.0.7:6379');
      },
    });
    const response = await fetch(`${url}/health/ready`);
    const body = await response.text();

    expect(response.status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({
      status: 'not_ready',
      dependencies: [
        { name: 'database', status: 'up' },
        { name: 'redis', status: 'down' },
      ],
    });
    expect(body).not.toContain('hunter2');
    remove();
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect((await fetch(`${url}/health/live`)).headers.get('cache-control')).toBe('no-store');
  });

  it('scores performance from the requests it served and shows the figures used', async () => {
    const { url } = await start({ performance: { cpu: 1, memory: 1 } });
    await fetch(`${url}/things/1`);
    const before = await (await fetch(`${url}/health/performance`)).json();
    await fetch(`${url}/things/slow/2500`);
    await fetch(`${url}/things/quota`);
    const after = await (await fetch(`${url}/health/performance`)).json();

    expect(before).toMatchObject({ status: 'healthy', score: 100, deductions: [] });
    expect(after).toMatchObject({
      status: 'unhealthy',
      score: 50,
      deductions: [
        { figure: 'p95Ms', points: 30, limit: 2000 },
        { figure: 'errorRate', points: 20, value: 1 / 3, limit: 0.01 },
      ],
      figures: { requests: 3, errorRateByType: { QUOTA_EXCEEDED: 1 / 3 } },
    });
  });

  it('reports on the whole fleet, percentiles of all its requests, and forgets who has left', async () => {
    const store = new MemoryFleetFigures(new TestClock());
    const first = await start({ fleet: { store, service: 'shop', instance: 'a' } });
    await fetch(`${first.url}/things/slow/40`);
    const other = await Test.createTestingModule({
      imports: [MetricsModule.forRoot({ fleet: { store, service: 'shop', instance: 'b' } })],
    }).compile();
    await other.init();
    const recorder = other.get(RequestRecorder);
    recorder.begin({ transport: 'grpc', method: 'Ask', route: 'Agent' })({ statusCode: 503 });
    await store.publish({
      ...(await store.read()).find(({ figures }) => figures.instance === 'b')!.figures,
      ...other.get(PerformanceMonitor).published(),
    });

    const together = await (await fetch(`${first.url}/health/performance`)).json();
    await other.close();
    const alone = (await (await fetch(`${first.url}/health/performance`)).json()) as PerformanceBody;

    expect(together).toMatchObject({
      scope: 'process',
      figures: { requests: 1, errorRate: 0 },
      fleet: {
        scope: 'fleet',
        services: [{ service: 'shop', instances: 2, figures: { requests: 2, errorRate: 0.5 } }],
        instances: [{ instance: 'a', ageMs: 0 }, { instance: 'b' }],
      },
    });
    expect(alone.fleet?.instances).toHaveLength(1);
  });

  it('counts requests of other doors in the same figures, and each of them once', async () => {
    const { app, scrape } = await start();
    const end = app.get(RequestRecorder).begin({ transport: 'ws', method: 'ask', route: '/v1/ws' });
    expect(find(await scrape(), 'requests_active')).toBe(2);
    end({ statusCode: 429, errorType: 'RATE_LIMITED', tenantId: 'acme', traceId: 'a'.repeat(32) });
    end({ statusCode: 200 });

    const samples = await scrape();

    const labels = { transport: 'ws', method: 'ask', route: '/v1/ws', status: '4xx' };
    expect(find(samples, 'request_latency_seconds_count', labels)).toBe(1);
    expect(find(samples, 'request_errors_total', { transport: 'ws', type: 'RATE_LIMITED' })).toBe(1);
    expect(find(samples, 'tenant_requests_total', { tenant: 'acme', status: '4xx' })).toBe(1);
    expect(find(samples, 'requests_active')).toBe(1);
  });

  it('counts requests by tenant where the application says whose they are', async () => {
    const tenantOf = (request: unknown) =>
      (request as { headers: Record<string, string | undefined> }).headers['x-tenant'];
    const { url, scrape } = await start({ tenantOf });
    await fetch(`${url}/things/1`, { headers: { 'x-tenant': 'acme' } });
    await fetch(`${url}/things/1`);
    const samples = await scrape();
    expect(samples.filter(({ name }) => name === 'tenant_requests_total')).toMatchObject([
      { labels: { tenant: 'acme', status: '2xx' }, value: 1 },
    ]);
  });

  it('answers in the format that is asked for', async () => {
    const { url } = await start();
    const typeFor = async (accept: string) => {
      const response = await fetch(`${url}/metrics`, { headers: { accept } });
      expect((await response.text()).endsWith('# EOF\n')).toBe(
        response.headers.get('content-type')?.startsWith('application/openmetrics-text') ?? false,
      );
      return response.headers.get('content-type')?.split(';')[0];
    };
    const prometheus =
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,' +
      'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
    expect(await typeFor(prometheus)).toBe('application/openmetrics-text');
    expect(await typeFor('*/*')).toBe('text/plain');
    expect(await typeFor('text/plain;q=0.9,application/openmetrics-text;q=0.5')).toBe('text/plain');
    expect(await typeFor('application/openmetrics-text;version=2.0.0')).toBe('text/plain');
    expect(await typeFor('application/openmetrics-text;q=0')).toBe('text/plain');
  });

  it('shows the recorded trace of a request as an exemplar', async () => {
    const { app, url } = await start();
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const end = app.get(RequestRecorder).begin({ transport: 'grpc', method: 'Ask', route: 'Agent' });
    end({ statusCode: 200, traceId });
    const accept = 'application/openmetrics-text';
    const text = await (await fetch(`${url}/metrics`, { headers: { accept } })).text();
    expect(text).toContain(`# {trace_id="${traceId}"} 0 `);
  });

  it('says what is running, and how it scores', async () => {
    const { scrape } = await start({
      build: { version: '1.2.3', revision: 'abc' },
      performance: { cpu: 1, memory: 1 },
    });
    const samples = await scrape();
    expect(find(samples, 'build_info', { version: '1.2.3', revision: 'abc', node: process.version })).toBe(1);
    expect(find(samples, 'performance_score')).toBe(100);
  });

  it('puts the application’s own decorators on its controllers', async () => {
    const seen: unknown[] = [];
    const Public = SetMetadata('public', true);
    const module = await Test.createTestingModule({
      imports: [MetricsModule.forRoot({ controllerDecorators: [Public] })],
      controllers: [ThingsController],
      providers: [Gate, { provide: Clock, useValue: new TestClock() }],
    }).compile();
    app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
    app.useGlobalGuards({
      canActivate: (context) => {
        const isPublic = new Reflector().get<boolean>('public', context.getClass());
        seen.push(isPublic);
        return isPublic === true;
      },
    });
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();

    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
    expect((await fetch(`${url}/things/1`)).status).toBe(403);
    expect(seen).toEqual([true, true, undefined]);
  });

  it('works without HTTP and stops counting when the application closes', async () => {
    const module = await Test.createTestingModule({ imports: [MetricsModule.forRoot()] }).compile();
    await module.init();
    const metrics = module.get(PrometheusMetrics);
    const event = {
      tenantId: 'acme',
      queue: 'summaries',
      outcome: 'completed',
      durationMs: 5,
      ageMs: 1,
    } as const;
    channels.job.publish(event);
    await module.close();
    channels.job.publish(event);

    const samples = parseExposition(await metrics.scrape());
    expect(find(samples, 'job_attempts_total', { tenant: 'acme', queue: 'summaries' })).toBe(1);
    expect(channels.job.hasSubscribers).toBe(false);
  });

  it('takes options from a factory as well', async () => {
    const module = await Test.createTestingModule({
      imports: [MetricsModule.forRootAsync({ useFactory: async () => ({ defaultLabels: { zone: 'b' } }) })],
    }).compile();
    await module.init();
    module.get(PrometheusMetrics).add('dbPoolTimeouts', { pool: 'primary' });
    const samples = parseExposition(await module.get(PrometheusMetrics).scrape());
    expect(find(samples, 'db_pool_timeout_total', { zone: 'b' })).toBe(1);
    await module.close();
  });

  it('refuses wrong options at the start, naming every wrong path and no value', async () => {
    const wrong = { windowMs: 'hunter2', tenants: { max: -4 }, unknown: 1 } as unknown as MetricsOptions;
    const starting = Test.createTestingModule({ imports: [MetricsModule.forRoot(wrong)] }).compile();

    await expect(starting).rejects.toSatisfy((error: MetricsOptionsInvalidError) => {
      expect(error).toBeInstanceOf(MetricsOptionsInvalidError);
      for (const path of ['windowMs', 'tenants.max', 'unknown']) expect(error.message).toContain(path);
      expect(error.message).not.toContain('hunter2');
      return true;
    });
    expect(() => MetricsModule.forRoot({ metricsPath: 'a b', healthPath: '../x' })).toThrow(
      /metricsPath.*healthPath/,
    );
  });
});
