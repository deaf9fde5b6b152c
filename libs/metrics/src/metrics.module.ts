import type { Server } from 'node:http';
import { freemem } from 'node:os';
import {
  type DynamicModule,
  Inject,
  Module,
  type NestModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core';
import { Clock, SystemClock } from '@sparkle/contracts';
import { getToken } from '@willsoto/nestjs-prometheus';
import { subscribeToEvents } from './adapters/prometheus/event-subscriptions.js';
import { PrometheusMetrics } from './adapters/prometheus/prometheus-metrics.js';
import { NodeSystemFiles } from './adapters/system/node-system-files.js';
import { ResourceMonitor } from './adapters/system/resource-monitor.js';
import { RuntimeMonitor } from './adapters/system/runtime-monitor.js';
import { FLEET_MONITOR, FleetMonitor } from './core/fleet-monitor.js';
import { HealthRegistry } from './core/health-registry.js';
import { HitRatios } from './core/hit-ratios.js';
import { metricCatalog } from './core/metric-catalog.js';
import { PerformanceMonitor } from './core/performance-monitor.js';
import { RequestRecorder } from './core/request-recorder.js';
import { RequestTracker } from './core/request-tracker.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './metrics.module-definition.js';
import {
  METRICS_OPTIONS,
  METRICS_ROUTES,
  type MetricsRoutes,
  parseMetricsOptions,
  type ResolvedMetricsOptions,
} from './metrics.options.js';
import { reportFigures, reportRequest } from './nest/figure-export.js';
import { type FastifyLike, HttpInstrumentation } from './nest/http-instrumentation.js';
import { RequestNoteInterceptor } from './nest/request-note.interceptor.js';
import { SystemFiles } from './ports/system-files.port.js';
import { Profiler } from './profiling/profiler.js';
import { type ExpressLike, HttpTracing, type TraceableFastify } from './tracing/http-tracing.js';
import { Tracing } from './tracing/tracing.js';

const METRICS_CLOCK = Symbol('METRICS_CLOCK');
const METRICS_SYSTEM_FILES = Symbol('METRICS_SYSTEM_FILES');

// Lets `@InjectMetric('request_latency_seconds')` of @willsoto/nestjs-prometheus find the catalogue's metrics.
const catalogueMetrics: Provider[] = Object.values(metricCatalog).map(({ name }) => ({
  provide: getToken(name),
  useFactory: (metrics: PrometheusMetrics) => metrics.registry.getSingleMetric(name),
  inject: [PrometheusMetrics],
}));

const providers: Provider[] = [
  { provide: METRICS_OPTIONS, useFactory: parseMetricsOptions, inject: [MODULE_OPTIONS_TOKEN] },
  {
    provide: METRICS_CLOCK,
    useFactory: (clock?: Clock): Clock => clock ?? new SystemClock(),
    inject: [{ token: Clock, optional: true }],
  },
  {
    provide: METRICS_SYSTEM_FILES,
    useFactory: (files?: SystemFiles): SystemFiles => files ?? new NodeSystemFiles(),
    inject: [{ token: SystemFiles, optional: true }],
  },
  {
    provide: PrometheusMetrics,
    useFactory: (clock: Clock, options: ResolvedMetricsOptions) =>
      new PrometheusMetrics(clock, {
        maxTenants: options.tenants.max,
        pinnedTenants: options.tenants.pinned,
        maxLabelValues: options.maxLabelValues,
        maxLabelSets: options.maxLabelSets,
        defaultLabels: options.defaultLabels,
        readTimeoutMs: options.readTimeoutMs,
      }),
    inject: [METRICS_CLOCK, METRICS_OPTIONS],
  },
  {
    provide: HitRatios,
    useFactory: (clock: Clock, options: ResolvedMetricsOptions) => new HitRatios(clock, options.windowMs),
    inject: [METRICS_CLOCK, METRICS_OPTIONS],
  },
  {
    provide: RequestTracker,
    useFactory: (clock: Clock, options: ResolvedMetricsOptions, metrics: PrometheusMetrics) =>
      new RequestTracker(clock, options.windowMs, options.maxLabelValues, (request) =>
        reportRequest(metrics, request, clock),
      ),
    inject: [METRICS_CLOCK, METRICS_OPTIONS, PrometheusMetrics],
  },
  {
    provide: RequestRecorder,
    useFactory: (tracker: RequestTracker) => new RequestRecorder(tracker),
    inject: [RequestTracker],
  },
  {
    provide: HttpInstrumentation,
    useFactory: (tracker: RequestTracker, { tenantOf }: ResolvedMetricsOptions) =>
      new HttpInstrumentation(tracker, tenantOf),
    inject: [RequestTracker, METRICS_OPTIONS],
  },
  {
    provide: ResourceMonitor,
    useFactory: (clock: Clock, files: SystemFiles, { resources }: ResolvedMetricsOptions) =>
      new ResourceMonitor(clock, files, resources.intervalMs, resources.disks),
    inject: [METRICS_CLOCK, METRICS_SYSTEM_FILES, METRICS_OPTIONS],
  },
  {
    provide: RuntimeMonitor,
    useFactory: (metrics: PrometheusMetrics) => new RuntimeMonitor(metrics),
    inject: [PrometheusMetrics],
  },
  {
    provide: PerformanceMonitor,
    useFactory: (tracker: RequestTracker, resources: ResourceMonitor, options: ResolvedMetricsOptions) =>
      new PerformanceMonitor(
        tracker,
        () => ({ cpu: resources.current()?.cpu ?? null, memory: resources.current()?.memory ?? null }),
        options.performance,
      ),
    inject: [RequestTracker, ResourceMonitor, METRICS_OPTIONS],
  },
  {
    provide: FLEET_MONITOR,
    useFactory: (
      clock: Clock,
      { fleet, performance }: ResolvedMetricsOptions,
      own: PerformanceMonitor,
      metrics: PrometheusMetrics,
    ): FleetMonitor | undefined =>
      fleet &&
      new FleetMonitor(
        clock,
        fleet.store,
        fleet,
        () => own.published(),
        performance,
        (operation) => metrics.add('fleetFailures', { operation }),
      ),
    inject: [METRICS_CLOCK, METRICS_OPTIONS, PerformanceMonitor, PrometheusMetrics],
  },
  {
    provide: HealthRegistry,
    useFactory: (clock: Clock, options: ResolvedMetricsOptions) =>
      new HealthRegistry(clock, options.readiness.timeoutMs),
    inject: [METRICS_CLOCK, METRICS_OPTIONS],
  },
  {
    provide: Profiler,
    useFactory: (clock: Clock, resources: ResourceMonitor) =>
      new Profiler(clock, () => {
        const figures = resources.current();
        return figures ? (1 - figures.memory) * figures.memoryLimitBytes : freemem();
      }),
    inject: [METRICS_CLOCK, ResourceMonitor],
  },
  {
    provide: Tracing,
    useFactory: (clock: Clock, { tracing }: ResolvedMetricsOptions, metrics: PrometheusMetrics) =>
      new Tracing(clock, tracing, {
        exported: (spans) => metrics.add('traceSpans', {}, spans),
        dropped: (reason, spans) => metrics.add('traceSpansDropped', { reason }, spans),
      }),
    inject: [METRICS_CLOCK, METRICS_OPTIONS, PrometheusMetrics],
  },
  {
    provide: HttpTracing,
    useFactory: (routes: MetricsRoutes, { tenantOf }: ResolvedMetricsOptions) =>
      new HttpTracing(routes, tenantOf),
    inject: [METRICS_ROUTES, METRICS_OPTIONS],
  },
  { provide: APP_INTERCEPTOR, useClass: RequestNoteInterceptor },
];

/**
 * Prometheus metrics, latency percentiles, health and performance score for any Nest application. Import it once,
 * in the application's root module. Time comes from the application's `Clock` provider where there is a global
 * one, otherwise from the system.
 */
@Module({
  providers: [...providers, ...catalogueMetrics],
  exports: [
    PrometheusMetrics,
    HealthRegistry,
    PerformanceMonitor,
    Profiler,
    RequestRecorder,
    ...Object.values(metricCatalog).map(({ name }) => getToken(name)),
  ],
})
export class MetricsModule
  extends ConfigurableModuleClass
  implements NestModule, OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  /** @throws MetricsOptionsInvalidError on a wrong path; wrong options stop the start of the application. */
  static override forRoot(
    options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {},
  ): DynamicModule {
    return { ...ConfigurableModuleClass.forRoot(options), module: MetricsModule };
  }

  private unsubscribe: (() => void) | undefined;

  constructor(
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(PrometheusMetrics) private readonly metrics: PrometheusMetrics,
    @Inject(HitRatios) private readonly hitRatios: HitRatios,
    @Inject(RequestTracker) private readonly tracker: RequestTracker,
    @Inject(HttpInstrumentation) private readonly http: HttpInstrumentation,
    @Inject(ResourceMonitor) private readonly resources: ResourceMonitor,
    @Inject(RuntimeMonitor) private readonly runtime: RuntimeMonitor,
    @Inject(HealthRegistry) private readonly health: HealthRegistry,
    @Inject(PerformanceMonitor) private readonly performance: PerformanceMonitor,
    @Inject(FLEET_MONITOR) private readonly fleet: FleetMonitor | undefined,
    @Inject(METRICS_OPTIONS) private readonly options: ResolvedMetricsOptions,
    @Inject(Tracing) private readonly tracing: Tracing,
    @Inject(HttpTracing) private readonly httpTracing: HttpTracing,
  ) {
    super();
  }

  /** Nest calls this in applications with HTTP, before the server is ready. */
  configure(): void {
    const { httpAdapter } = this.host;
    if (httpAdapter.getType() === 'fastify')
      this.http.attachToFastify(httpAdapter.getInstance() as FastifyLike);
    else this.http.attachToServer(httpAdapter.getHttpServer() as Server);
    if (!this.tracing.isOn) return;
    if (httpAdapter.getType() === 'fastify')
      this.httpTracing.attachToFastify(httpAdapter.getInstance() as TraceableFastify);
    else
      this.httpTracing.attachToExpress(
        httpAdapter.getHttpServer() as Server,
        httpAdapter.getInstance() as ExpressLike,
      );
  }

  async onModuleInit(): Promise<void> {
    await this.tracing.start();
    this.unsubscribe = subscribeToEvents(this.metrics, this.hitRatios);
    reportFigures(this.metrics, this.tracker, this.hitRatios, this.resources, this.health);
    this.runtime.start();
    this.metrics.collectGauge('performanceScore', (set) => set({}, this.performance.report().score));
    this.metrics.set('buildInfo', { ...this.options.build, node: process.version }, 1);
    await this.resources.start();
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.fleet?.start();
  }

  onModuleDestroy(): void {
    this.health.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    this.unsubscribe?.();
    this.runtime.stop();
    this.resources.stop();
    await this.fleet?.stop();
    await this.tracing.stop();
  }
}
