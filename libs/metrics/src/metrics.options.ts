import { hostname } from 'node:os';
import { z } from 'zod';
import { MetricsOptionsInvalidError } from './errors.js';
import type { TenantOf } from './nest/http-instrumentation.js';
import type { FleetFigures } from './ports/fleet-figures.port.js';
import { tracingOptionsSchema } from './tracing/tracing.options.js';

const ratio = z.number().min(0).max(1);
const labelName = z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'must be a Prometheus label name');

const metricsOptionsSchema = z.strictObject({
  /** Sliding window of percentiles, error rates and hit ratios. Default 300 s. */
  windowMs: z.number().int().min(1000).max(3_600_000).default(300_000),
  tenants: z
    .strictObject({
      /** Tenants with series of their own, those with most traffic; the rest are `other`. Default 50. */
      max: z.number().int().min(0).max(10_000).default(50),
      /** Tenants that have series of their own in any case. */
      pinned: z.array(z.string().min(1).max(63)).max(10_000).default([]),
    })
    .prefault({}),
  /** Distinct values of every label but the tenant; the rest are `other`. Default 200. */
  maxLabelValues: z.number().int().min(10).max(10_000).default(200),
  /** Label sets of all metrics together; beyond them a metric makes one more, all `other`. Default 20,000. */
  maxLabelSets: z.number().int().min(1000).max(1_000_000).default(20_000),
  /**
   * Finds the tenant in the request object of Fastify or Express, once it has been answered. Default: requests
   * are not counted by tenant.
   */
  tenantOf: z
    .custom<TenantOf>((value) => typeof value === 'function', 'must be a function')
    .default(() => () => undefined),
  /** Labels added to every series, e.g. `{ service: 'api' }`. */
  defaultLabels: z.record(labelName, z.string().max(200)).default({}),
  /** How long a scrape waits for a gauge's reader. Default 2 s. */
  readTimeoutMs: z.number().int().positive().max(60_000).default(2000),
  resources: z
    .strictObject({
      /** Time between samples of CPU, memory, load and disks. Default 5 s. */
      intervalMs: z.number().int().min(100).max(300_000).default(5000),
      /** Paths whose file systems are watched. Default `/`. */
      disks: z.array(z.string().startsWith('/')).max(20).default(['/']),
    })
    .prefault({}),
  readiness: z
    .strictObject({
      /** Time each dependency check has. Default 2 s. */
      timeoutMs: z.number().int().positive().max(60_000).default(2000),
    })
    .prefault({}),
  /** OpenTelemetry traces. Default: off. */
  tracing: tracingOptionsSchema,
  /** Lets `/health/performance` report on all processes that share a store. Default: on this one alone. */
  fleet: z
    .strictObject({
      /** Where the processes leave their figures, e.g. a `RedisFleetFigures`. */
      store: z.custom<FleetFigures>(
        (value) => typeof value === 'object' && value !== null && 'publish' in value && 'read' in value,
        'must be a FleetFigures store',
      ),
      /** Kind of process, e.g. `api`; figures of one service are added up. */
      service: z.string().min(1).max(100),
      /** Tells the processes of a service apart. Default: host name and process id. */
      instance: z
        .string()
        .min(1)
        .max(200)
        .default(() => `${hostname()}:${process.pid}`),
      /** Default 5 s; an instance drops out when it has not published for the store's time to live, 15 s. */
      publishEveryMs: z.number().int().min(100).max(60_000).default(5000),
    })
    .optional(),
  /** What `build_info` says. Default: only the version of Node. */
  build: z
    .strictObject({
      version: z.string().max(100).default('unknown'),
      /** Commit the build was made from. */
      revision: z.string().max(100).default('unknown'),
    })
    .prefault({}),
  /** Figures above these cost points, see `/health/performance`. */
  performance: z
    .strictObject({
      /** Default 2000 ms. */
      p95Ms: z.number().positive().default(2000),
      /** Share of 5xx responses. Default 0.01. */
      errorRate: ratio.default(0.01),
      /** Default 0.7. */
      cpu: ratio.default(0.7),
      /** Default 0.8. */
      memory: ratio.default(0.8),
      /** Scores from here on are `healthy`. Default 70. */
      healthyFrom: z.number().min(0).max(100).default(70),
    })
    .prefault({}),
});

const routePath = z
  .string()
  .regex(/^\/?[\w-]+(?:\/[\w-]+)*$/, 'must be a path of letters, digits, "_", "-" and "/"')
  .transform((path) => path.replace(/^\//, ''));

const metricsRoutesSchema = z.object({
  metricsPath: routePath,
  healthPath: routePath,
});

/** What `MetricsModule.forRoot` takes; everything has a default. */
export type MetricsOptions = z.input<typeof metricsOptionsSchema>;

/** {@link MetricsOptions} with every default filled in. */
export type ResolvedMetricsOptions = z.output<typeof metricsOptionsSchema>;

/** Injection token of the {@link ResolvedMetricsOptions}. */
export const METRICS_OPTIONS = Symbol('METRICS_OPTIONS');

/**
 * Checks options and fills in defaults.
 * @throws MetricsOptionsInvalidError naming every wrong path at once.
 */
export function parseMetricsOptions(options: unknown): ResolvedMetricsOptions {
  return parse(metricsOptionsSchema, options ?? {});
}

/** Paths without a leading slash. */
export type MetricsRoutes = z.output<typeof metricsRoutesSchema>;

/** Injection token of the {@link MetricsRoutes}. */
export const METRICS_ROUTES = Symbol('METRICS_ROUTES');

/** @throws MetricsOptionsInvalidError naming every wrong path at once. */
export function parseMetricsRoutes(routes: unknown): MetricsRoutes {
  return parse(metricsRoutesSchema, routes);
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new MetricsOptionsInvalidError(
    result.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'options'}: ${message}`),
  );
}
