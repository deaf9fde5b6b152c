import { type Attributes, context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  type CacheEvent,
  type ConversationEvent,
  channels,
  type DatabaseEvent,
  type IngestionEvent,
  type JobEvent,
  type LimitEvent,
  type ModelEvent,
  type RetrievalEvent,
} from '@sparkle/contracts';
import { TRACER } from './run-in-span.js';
import { activeScope, type SpanScope, TENANT } from './span-scope.js';

/** Finished work of a library, as a span of the request or job that it was done for. */
interface FinishedWork {
  readonly kind: string;
  readonly name: string;
  readonly durationMs: number;
  readonly tenantId?: string | undefined;
  readonly spanKind?: SpanKind;
  readonly attributes?: Attributes;
  /** Why it failed. */
  readonly error?: string | undefined;
}

/**
 * Turns what the libraries publish into child spans of the work in progress; what is published outside of a traced
 * request or job is left alone. An event comes when its work is done, so its span ends now.
 * @returns a function that ends every subscription.
 */
export function subscribeToTracedEvents(): () => void {
  const unsubscribers = [
    channels.cache.subscribe(recording(cacheWork)),
    channels.limit.subscribe(recording(limitWork)),
    channels.database.subscribe(recording(databaseWork)),
    channels.model.subscribe(recording(modelWork)),
    channels.retrieval.subscribe(recording(retrievalWork)),
    channels.ingestion.subscribe(recording(ingestionWork)),
    channels.conversation.subscribe(recording(conversationWork)),
    channels.job.subscribe(noteJob),
  ];
  return () => {
    for (const unsubscribe of unsubscribers) unsubscribe();
  };
}

/** Most events of a sampled-out request end here, before anything is made of them. */
function recording<Event>(workOf: (event: Event) => FinishedWork | undefined): (event: Event) => void {
  return (event) => {
    const scope = activeScope();
    const work = scope && workOf(event);
    if (work) record(scope, work);
  };
}

function record(scope: SpanScope, work: FinishedWork): void {
  const { kind, name, durationMs, tenantId, spanKind = SpanKind.INTERNAL, attributes, error } = work;
  // Work that several callers share, such as a batch, may be another tenant's.
  if (tenantId !== undefined && !scope.belongsTo(tenantId)) return;
  if (!(durationMs >= 0) || !scope.admit(kind, durationMs)) return;
  const now = Date.now();
  const parent = trace.setSpan(context.active(), scope.span);
  const options = { kind: spanKind, startTime: now - durationMs, attributes };
  const span = trace.getTracer(TRACER).startSpan(name, options, parent);
  if (tenantId !== undefined) span.setAttribute(TENANT, tenantId);
  if (error !== undefined) {
    span.setAttribute('error.type', error);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end(now);
}

/** Looks without a duration are those in memory: too quick to be worth a span. */
function cacheWork(event: CacheEvent): FinishedWork | undefined {
  const { tenantId, namespace, tier, outcome, durationMs } = event;
  if (durationMs === undefined) return undefined;
  return {
    kind: 'cache',
    name: `cache ${tier}`,
    durationMs,
    tenantId,
    attributes: { 'sparkle.cache.namespace': namespace, 'sparkle.cache.outcome': outcome },
    error: outcome === 'error' ? 'cache_error' : undefined,
  };
}

function limitWork(event: LimitEvent): FinishedWork | undefined {
  const { tenantId, limiter, kind, outcome, dimension, waitMs = 0 } = event;
  if (outcome === 'released' || outcome === 'lost') return undefined;
  return {
    kind: 'limit',
    name: `limit ${kind}`,
    durationMs: waitMs,
    tenantId,
    attributes: {
      'sparkle.limit.name': limiter,
      'sparkle.limit.outcome': outcome,
      ...(dimension === undefined ? {} : { 'sparkle.limit.dimension': dimension }),
    },
    error: outcome === 'admitted' ? undefined : outcome,
  };
}

function databaseWork(event: DatabaseEvent): FinishedWork | undefined {
  const system = { 'db.system.name': 'postgresql' };
  switch (event.kind) {
    case 'query':
      return {
        kind: 'database',
        name: 'postgresql query',
        durationMs: event.durationMs,
        tenantId: event.tenantId,
        spanKind: SpanKind.CLIENT,
        attributes: system,
        error: event.failed ? 'query_failed' : undefined,
      };
    case 'transaction':
      return {
        kind: 'transaction',
        name: 'postgresql transaction',
        durationMs: event.durationMs,
        tenantId: event.tenantId,
        spanKind: SpanKind.CLIENT,
        attributes: { ...system, 'sparkle.transaction.outcome': event.outcome },
      };
    default:
      return undefined;
  }
}

function modelWork(event: ModelEvent): FinishedWork {
  const { tenantId, model, operation, outcome, durationMs, inputTokens, outputTokens } = event;
  const name = operation === 'embed' ? 'embeddings' : 'chat';
  return {
    kind: 'model',
    name: `${name} ${model}`,
    durationMs,
    tenantId,
    spanKind: SpanKind.CLIENT,
    attributes: {
      'gen_ai.operation.name': name,
      'gen_ai.request.model': model,
      'gen_ai.usage.input_tokens': inputTokens,
      'gen_ai.usage.output_tokens': outputTokens,
    },
    error: outcome === 'success' ? undefined : outcome,
  };
}

function retrievalWork(event: RetrievalEvent): FinishedWork {
  const { tenantId, strategy, durationMs, chunks, paths, contextTokens } = event;
  return {
    kind: 'retrieval',
    name: `retrieval ${strategy}`,
    durationMs,
    tenantId,
    attributes: {
      'sparkle.retrieval.chunks': chunks,
      'sparkle.retrieval.paths': paths,
      'sparkle.retrieval.context_tokens': contextTokens,
    },
  };
}

function ingestionWork(event: IngestionEvent): FinishedWork {
  const { tenantId, documentId, step, outcome, durationMs } = event;
  return {
    kind: 'ingestion',
    name: `ingestion ${step}`,
    durationMs,
    tenantId,
    attributes: { 'sparkle.document.id': documentId },
    error: outcome === 'failed' ? 'step_failed' : undefined,
  };
}

function conversationWork(event: ConversationEvent): FinishedWork {
  const { tenantId, kind, strategy, outcome, durationMs } = event;
  return {
    kind: 'conversation',
    name: `conversation ${kind}`,
    durationMs,
    tenantId,
    attributes: {
      'sparkle.conversation.outcome': outcome,
      ...(strategy === undefined ? {} : { 'sparkle.conversation.strategy': strategy }),
    },
    error: outcome === 'failed' ? 'conversation_failed' : undefined,
  };
}

/** A job has its span from the queue; the event adds what only the worker knows. */
function noteJob({ tenantId, outcome, ageMs }: JobEvent): void {
  const scope = activeScope();
  if (!scope) return;
  scope.belongsTo(tenantId);
  scope.span.setAttributes({ 'sparkle.job.outcome': outcome, 'sparkle.job.age_ms': Math.round(ageMs) });
  if (outcome !== 'completed') scope.fail(`job_${outcome}`);
}
