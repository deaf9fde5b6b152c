import type { MetricsOptions } from '@sparkle/metrics';
import { z } from 'zod';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

const address = z.string().refine((value) => /^https?:\/\//.test(value) && URL.canParse(value), {
  message: 'an address starting with http:// or https://',
});

/** `key=value` pairs separated by commas, percent-encoded as in W3C Baggage. */
const pairs = z.string().transform((text, context) => {
  try {
    return Object.fromEntries(
      text
        .split(',')
        .filter((part) => part.trim() !== '')
        .map(pairOf),
    );
  } catch {
    context.addIssue('pairs such as key=value,other=value');
    return z.NEVER;
  }
});

/**
 * OpenTelemetry's own variables, as far as they apply here; what they mean is in its specification. Tracing is on
 * when there is an endpoint.
 */
export const tracingVariables = {
  OTEL_SDK_DISABLED: z.enum(['true', 'false']).default('false'),
  OTEL_SERVICE_NAME: z.string().min(1).max(255).optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs.optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: address.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: address.optional(),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .literal('http/json', 'http/json; other protocols are not spoken here')
    .default('http/json'),
  OTEL_EXPORTER_OTLP_TIMEOUT: z.coerce.number().int().min(100).max(60_000).default(10_000),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: z.coerce.number().int().min(10).max(300_000).default(5_000),
  OTEL_BSP_MAX_QUEUE_SIZE: z.coerce.number().int().min(64).max(100_000).default(2_048),
} as const;

const variables = z.object(tracingVariables);

/** How an application is traced; `undefined` for not at all. */
export function tracingOf(
  values: z.output<typeof variables>,
  defaultServiceName: string,
): MetricsOptions['tracing'] | undefined {
  const base = values.OTEL_EXPORTER_OTLP_ENDPOINT;
  const endpoint =
    values.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base.replace(/\/$/, '')}/v1/traces`);
  if (!endpoint || values.OTEL_SDK_DISABLED === 'true') return undefined;
  const { 'service.name': named, ...resource } = values.OTEL_RESOURCE_ATTRIBUTES ?? {};
  return {
    mode: 'otlp',
    endpoint,
    headers: values.OTEL_EXPORTER_OTLP_HEADERS ?? {},
    serviceName: values.OTEL_SERVICE_NAME ?? named ?? defaultServiceName,
    resource,
    sampler: values.OTEL_TRACES_SAMPLER,
    ratio: values.OTEL_TRACES_SAMPLER_ARG,
    timeoutMs: values.OTEL_EXPORTER_OTLP_TIMEOUT,
    intervalMs: values.OTEL_BSP_SCHEDULE_DELAY,
    maxWaitingSpans: values.OTEL_BSP_MAX_QUEUE_SIZE,
  };
}

function pairOf(part: string): [string, string] {
  const [key, value, ...more] = part.split('=');
  if (!key?.trim() || value === undefined || more.length > 0) throw new SyntaxError('not a pair');
  return [decodeURIComponent(key.trim()), decodeURIComponent(value.trim())];
}
