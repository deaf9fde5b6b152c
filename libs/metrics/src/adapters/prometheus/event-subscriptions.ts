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
  type ToolEvent,
} from '@sparkle/contracts';
import type { HitRatios } from '../../core/hit-ratios.js';
import type { PrometheusMetrics } from './prometheus-metrics.js';

const NO_TENANT = 'none';
const NO_STRATEGY = 'none';
const PRIMARY_POOL = 'primary';
const MS = 1000;

type EventOf<Channel> = Channel extends { subscribe(listener: (event: infer Event) => void): unknown }
  ? Event
  : never;
type Recorders = { [Name in keyof typeof channels]: (event: EventOf<(typeof channels)[Name]>) => void };

/**
 * Counts what the other libraries publish on the channels of `@sparkle/contracts`.
 * @returns a function that ends every subscription.
 */
export function subscribeToEvents(metrics: PrometheusMetrics, hitRatios: HitRatios): () => void {
  const recorders: Recorders = {
    cache: (event) => recordCache(metrics, hitRatios, event),
    limit: (event) => recordLimit(metrics, event),
    database: (event) => recordDatabase(metrics, event),
    model: (event) => recordModel(metrics, event),
    retrieval: (event) => recordRetrieval(metrics, event),
    ingestion: (event) => recordIngestion(metrics, event),
    conversation: (event) => recordConversation(metrics, event),
    tool: (event) => recordTool(metrics, event),
    job: (event) => recordJob(metrics, event),
  };
  const names = Object.keys(recorders) as (keyof Recorders)[];
  const unsubscribers = names.map((name) => subscribe(metrics, name, recorders[name]));
  return () => {
    for (const unsubscribe of unsubscribers) unsubscribe();
  };
}

function subscribe<Name extends keyof Recorders>(
  metrics: PrometheusMetrics,
  name: Name,
  record: Recorders[Name],
): () => void {
  const channel = channels[name] as { subscribe(listener: Recorders[Name]): () => void };
  const guarded = (event: Parameters<Recorders[Name]>[0]) => {
    // What a subscriber throws becomes an uncaught exception of the process.
    try {
      (record as (event: unknown) => void)(event);
    } catch {
      metrics.add('eventsRejected', { channel: name });
    }
  };
  return channel.subscribe(guarded as Recorders[Name]);
}

function recordCache(metrics: PrometheusMetrics, hitRatios: HitRatios, event: CacheEvent): void {
  const { tenantId, namespace, tier, outcome, durationMs, ttlMs } = event;
  metrics.add('cacheEvents', { tenant: tenantId, namespace, tier, outcome });
  hitRatios.record(event);
  if (durationMs !== undefined) metrics.observe('cacheOperation', { tier, outcome }, durationMs / MS);
  if (ttlMs !== undefined) metrics.observe('cacheTtl', { tier }, ttlMs / MS);
}

function recordLimit(metrics: PrometheusMetrics, event: LimitEvent): void {
  const { tenantId, limiter, kind, outcome, dimension, waitMs } = event;
  metrics.add('limitDecisions', { tenant: tenantId, limiter, kind, outcome });
  if (outcome === 'limited' && dimension !== undefined) metrics.add('limitHits', { limiter, dimension });
  if (waitMs !== undefined) metrics.observe('limitWait', { limiter, kind }, waitMs / MS);
}

function recordDatabase(metrics: PrometheusMetrics, event: DatabaseEvent): void {
  switch (event.kind) {
    case 'query': {
      const outcome = event.failed ? 'failed' : 'success';
      metrics.add('dbQueries', { tenant: event.tenantId ?? NO_TENANT, outcome });
      metrics.observe('dbQuery', { outcome }, event.durationMs / MS);
      break;
    }
    case 'transaction':
      metrics.observe('dbTransaction', { outcome: event.outcome }, event.durationMs / MS);
      break;
    case 'pool': {
      const labels = poolOf(event);
      metrics.set('dbPoolSize', labels, event.size);
      metrics.set('dbPoolCheckedOut', labels, event.checkedOut);
      metrics.set('dbPoolOverflow', labels, event.overflow);
      metrics.set('dbPoolWaiting', labels, event.waiting);
      break;
    }
    case 'pool_timeout':
      metrics.add('dbPoolTimeouts', poolOf(event));
      break;
    case 'pool_saturated':
      metrics.add('dbPoolSaturations', poolOf(event));
      break;
    case 'connection_held':
      metrics.observe('dbPoolHold', poolOf(event), event.heldMs / MS);
      break;
    case 'connection_held_long':
      metrics.add('dbPoolLongHolds', poolOf(event));
      break;
    case 'repeated_query':
      metrics.add('dbRepeatedQueries', {});
      break;
    case 'replica': {
      const { replica, outcome, lagMs } = event;
      metrics.add('dbReplicaReads', { replica, outcome });
      if (lagMs !== undefined) metrics.set('dbReplicaLag', { replica }, lagMs / MS);
      break;
    }
  }
}

function poolOf({ pool = PRIMARY_POOL }: { pool?: string }): { pool: string } {
  return { pool };
}

function recordModel(metrics: PrometheusMetrics, event: ModelEvent): void {
  const {
    tenantId: tenant,
    model,
    operation,
    outcome,
    durationMs,
    inputTokens,
    outputTokens,
    costUsd,
  } = event;
  metrics.add('modelCalls', { tenant, model, operation, outcome });
  metrics.observe('modelCall', { model, operation, outcome }, durationMs / MS);
  metrics.add('modelTokens', { tenant, model, direction: 'input' }, inputTokens);
  metrics.add('modelTokens', { tenant, model, direction: 'output' }, outputTokens);
  if (costUsd !== undefined) metrics.add('modelCost', { tenant, model }, costUsd);
}

function recordRetrieval(metrics: PrometheusMetrics, event: RetrievalEvent): void {
  const { strategy } = event;
  metrics.add('retrievals', { tenant: event.tenantId, strategy });
  metrics.observe('retrieval', { strategy }, event.durationMs / MS);
  metrics.observe('retrievalChunks', { strategy }, event.chunks);
  metrics.observe('retrievalPaths', { strategy }, event.paths);
  metrics.observe('retrievalContext', { strategy }, event.contextTokens);
}

function recordIngestion(metrics: PrometheusMetrics, event: IngestionEvent): void {
  const { tenantId: tenant, step, outcome, durationMs } = event;
  metrics.add('ingestionSteps', { tenant, step, outcome });
  metrics.observe('ingestionStep', { step, outcome }, durationMs / MS);
}

function recordConversation(metrics: PrometheusMetrics, event: ConversationEvent): void {
  const { tenantId: tenant, kind, outcome, durationMs } = event;
  metrics.add('conversationEvents', { tenant, kind, strategy: event.strategy ?? NO_STRATEGY, outcome });
  metrics.observe('conversation', { kind, outcome }, durationMs / MS);
}

function recordTool(metrics: PrometheusMetrics, event: ToolEvent): void {
  const { tenantId: tenant, tool, by, outcome, durationMs, tokens } = event;
  metrics.add('toolCalls', { tenant, tool, by, outcome });
  metrics.observe('toolCall', { tool, outcome }, durationMs / MS);
  metrics.add('toolTokens', { tenant, tool }, tokens);
}

function recordJob(metrics: PrometheusMetrics, event: JobEvent): void {
  const { tenantId: tenant, queue, outcome, durationMs, ageMs, schedule } = event;
  if (schedule && outcome === 'completed')
    metrics.set('scheduledJobLastSuccess', { schedule: schedule.name }, schedule.endedAt / MS);
  metrics.add('jobAttempts', { tenant, queue, outcome });
  metrics.observe('job', { queue, outcome }, durationMs / MS);
  metrics.observe('jobAge', { queue }, ageMs / MS);
}
