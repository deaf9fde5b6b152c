import { z } from 'zod';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

const headerName = z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'must be a header name');

const otlp = z.strictObject({
  /** Export to a collector over OTLP/HTTP, as JSON. */
  mode: z.literal('otlp'),
  /** Where spans are posted, e.g. `http://collector:4318/v1/traces`. */
  endpoint: z.url({ protocol: /^https?$/, error: 'must be an address starting with http:// or https://' }),
  /** Sent with every export, e.g. an API key. */
  headers: z.record(headerName, z.string().max(8192)).default({}),
  /** `service.name` of every span. Default `sparkle`. */
  serviceName: z.string().min(1).max(255).default('sparkle'),
  /** More attributes of the process, e.g. `{ 'deployment.environment.name': 'staging' }`. */
  resource: z.record(z.string().min(1).max(255), z.string().max(255)).default({}),
  /** Which traces are kept; `parentbased_` ones follow the `traceparent` of the caller. */
  sampler: z.enum(SAMPLERS).default('parentbased_always_on'),
  /** Share of traces kept by the ratio samplers, 0 to 1. Default 1. */
  ratio: z.number().min(0).max(1).default(1),
  /** Longest time a finished span waits for its export. Default 5 s. */
  intervalMs: z.number().int().min(10).max(300_000).default(5000),
  /** Finished spans that may wait, about 2 kB each; more are dropped and counted. Default 2048. */
  maxWaitingSpans: z.number().int().min(64).max(100_000).default(2048),
  /** Time of one export, its retries included. Default 10 s. */
  timeoutMs: z.number().int().min(100).max(60_000).default(10_000),
  /** How long a shutdown waits for the last export. Default 3 s. */
  flushMs: z.number().int().min(0).max(60_000).default(3000),
});

/** How requests are traced with OpenTelemetry. */
export const tracingOptionsSchema = z
  .discriminatedUnion('mode', [
    /** Nothing is traced, at no cost. */
    z.strictObject({ mode: z.literal('off') }),
    /** The application has set up OpenTelemetry itself; spans go wherever it says. */
    z.strictObject({ mode: z.literal('host') }),
    otlp,
  ])
  .default({ mode: 'off' });

export type TracingOptions = z.output<typeof tracingOptionsSchema>;
export type OtlpOptions = z.output<typeof otlp>;
