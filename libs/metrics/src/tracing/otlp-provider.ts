import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ContextManager, TextMapPropagator, TracerProvider } from '@opentelemetry/api';
import type { Sampler } from '@opentelemetry/sdk-trace-base';
import type { SpanAccount } from './span-export.js';
import type { OtlpOptions } from './tracing.options.js';

const BATCH_SPANS = 512;
/** Enough for every waiting batch to be under way at once when the process ends. */
const SPARE_EXPORTS = 2;

/** What OpenTelemetry's API needs, and how to end it. */
export interface OtlpProvider {
  readonly provider: TracerProvider;
  readonly contexts: ContextManager;
  readonly propagator: TextMapPropagator;
  /** Sends what waits; {@link abandon} counts what had not arrived. */
  shutdown(): Promise<void>;
  abandon(): void;
}

/** Sets up the SDK; it is loaded here, so that an application without tracing never loads it. */
export async function createOtlpProvider(options: OtlpOptions, account: SpanAccount): Promise<OtlpProvider> {
  const [sdk, { OTLPTraceExporter }, { resourceFromAttributes }, hooks, core, { CountedSpanExport }] =
    await Promise.all([
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/context-async-hooks'),
      import('@opentelemetry/core'),
      import('./span-export.js'),
    ]);
  const { maxWaitingSpans, timeoutMs } = options;
  const batchSpans = Math.min(BATCH_SPANS, maxWaitingSpans);
  const exporter = new OTLPTraceExporter({
    url: options.endpoint,
    headers: options.headers,
    timeoutMillis: timeoutMs,
    concurrencyLimit: Math.ceil(maxWaitingSpans / batchSpans) + SPARE_EXPORTS,
  });
  const spans = new CountedSpanExport(
    exporter,
    maxWaitingSpans,
    account,
    (counted) =>
      new sdk.BatchSpanProcessor(counted, {
        maxQueueSize: maxWaitingSpans,
        maxExportBatchSize: batchSpans,
        scheduledDelayMillis: options.intervalMs,
        // The exporter keeps the time itself and says what became of the spans.
        exportTimeoutMillis: timeoutMs * 2,
      }),
  );
  const provider = new sdk.BasicTracerProvider({
    sampler: samplerOf(sdk, options),
    spanLimits: { attributeValueLengthLimit: 256, attributeCountLimit: 64, eventCountLimit: 0 },
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.instance.id': randomUUID(),
      'host.name': hostname(),
      'process.pid': process.pid,
      ...options.resource,
    }),
    spanProcessors: [spans],
  });
  return {
    provider,
    contexts: new hooks.AsyncLocalStorageContextManager(),
    propagator: new core.W3CTraceContextPropagator(),
    shutdown: () => provider.shutdown(),
    abandon: () => spans.abandon(),
  };
}

function samplerOf(sdk: typeof import('@opentelemetry/sdk-trace-base'), options: OtlpOptions): Sampler {
  const kind = options.sampler.replace('parentbased_', '');
  const root =
    kind === 'always_on'
      ? new sdk.AlwaysOnSampler()
      : kind === 'always_off'
        ? new sdk.AlwaysOffSampler()
        : new sdk.TraceIdRatioBasedSampler(options.ratio);
  return kind === options.sampler ? root : new sdk.ParentBasedSampler({ root });
}
