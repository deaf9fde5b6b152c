import { type Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

/**
 * A typed `node:diagnostics_channel`. Libraries publish, `@sparkle/metrics` subscribes, and neither imports
 * the other. Publishing without a subscriber costs one property read.
 */
export class EventChannel<Event extends object> {
  private readonly channel: Channel;

  constructor(readonly name: `sparkle:${string}`) {
    this.channel = channel(name);
  }

  get hasSubscribers(): boolean {
    return this.channel.hasSubscribers;
  }

  publish(event: Event): void {
    if (this.channel.hasSubscribers) this.channel.publish(event);
  }

  /** Calls `listener` for each event until the returned function is called. */
  subscribe(listener: (event: Event) => void): () => void {
    const onMessage = (message: unknown) => listener(message as Event);
    subscribe(this.name, onMessage);
    return () => {
      unsubscribe(this.name, onMessage);
    };
  }
}

/** One look-up or change in a cache tier. */
export interface CacheEvent {
  tenantId: string;
  namespace: string;
  tier: 'l1' | 'l2' | 'loader' | 'exact' | 'semantic';
  outcome: 'hit' | 'miss' | 'stale' | 'negative' | 'set' | 'evicted' | 'invalidated' | 'rejected' | 'error';
  durationMs?: number;
  /** Time to live given to a value that was set. */
  ttlMs?: number;
}

/** One decision of a rate limit, budget or semaphore. */
export interface LimitEvent {
  tenantId: string;
  limiter: string;
  kind: 'rate' | 'budget' | 'permit';
  outcome: 'admitted' | 'limited' | 'timeout' | 'released' | 'lost' | 'store_failed';
  dimension?: string;
  waitMs?: number;
}

/** Pool, transaction and statement events of the database. `pool` names the pool; default `primary`. */
export type DatabaseEvent =
  | { kind: 'query'; tenantId?: string; durationMs: number; failed: boolean }
  | { kind: 'transaction'; tenantId?: string; outcome: 'commit' | 'rollback' | 'retry'; durationMs: number }
  | { kind: 'pool'; pool?: string; size: number; checkedOut: number; overflow: number; waiting: number }
  | { kind: 'pool_timeout'; pool?: string }
  /** A connection was given back. */
  | { kind: 'connection_held'; pool?: string; heldMs: number }
  /** A connection is still in use after a time that is worth a warning; once per use. */
  | { kind: 'connection_held_long'; pool?: string; tenantId?: string; heldMs: number; origin?: string }
  /** Nearly all connections are in use; once until the pool has calmed down. */
  | { kind: 'pool_saturated'; pool?: string; checkedOut: number; capacity: number }
  /** One request has sent the same statement, values left out, suspiciously often. */
  | { kind: 'repeated_query'; tenantId?: string; shape: string; count: number; origin?: string }
  /** What became of a replica that was asked to serve a read; `lagMs` where it is known. */
  | { kind: 'replica'; replica: string; outcome: 'served' | 'behind' | 'failed'; lagMs?: number };

/** One call of a chat or embedding model. */
export interface ModelEvent {
  tenantId: string;
  model: string;
  operation: 'generate' | 'stream' | 'embed';
  outcome: 'success' | 'timeout' | 'rate_limited' | 'breaker_open' | 'cancelled' | 'error';
  durationMs: number;
  inputTokens: number;
  outputTokens: number;
  costUsd?: number;
}

/** One retrieval for a question. */
export interface RetrievalEvent {
  tenantId: string;
  strategy: string;
  durationMs: number;
  chunks: number;
  paths: number;
  contextTokens: number;
}

/** One finished step of a document's ingestion. */
export interface IngestionEvent {
  tenantId: string;
  documentId: string;
  step: string;
  outcome: 'success' | 'failed';
  durationMs: number;
}

/** One served conversation turn, or one summary made. */
export interface ConversationEvent {
  tenantId: string;
  kind: 'turn' | 'summary';
  strategy?: string;
  outcome: 'success' | 'degraded' | 'cancelled' | 'failed';
  durationMs: number;
}

/** One call of a tool while an answer was made. `tool` is `unknown` for one that does not exist. */
export interface ToolEvent {
  tenantId: string;
  tool: string;
  /** Who called: the model, or a rule on behalf of a model that cannot. */
  by: 'model' | 'rule';
  outcome: 'success' | 'empty' | 'unknown_tool' | 'arguments_invalid' | 'timeout' | 'failed' | 'refused';
  durationMs: number;
  /** Tokens of what the model was told. */
  tokens: number;
}

/** One attempt of a queued job. */
export interface JobEvent {
  tenantId: string;
  queue: string;
  outcome: 'completed' | 'failed' | 'retried' | 'stalled';
  durationMs: number;
  /** From enqueueing to the start of this attempt. */
  ageMs: number;
  /** Set for repeated jobs: the schedule it came from, and when it ended, in milliseconds since the Unix epoch. */
  schedule?: { readonly name: string; readonly endedAt: number };
}

/** Every channel of Sparkle. */
export const channels = {
  cache: new EventChannel<CacheEvent>('sparkle:cache'),
  limit: new EventChannel<LimitEvent>('sparkle:limit'),
  database: new EventChannel<DatabaseEvent>('sparkle:database'),
  model: new EventChannel<ModelEvent>('sparkle:model'),
  retrieval: new EventChannel<RetrievalEvent>('sparkle:retrieval'),
  ingestion: new EventChannel<IngestionEvent>('sparkle:ingestion'),
  conversation: new EventChannel<ConversationEvent>('sparkle:conversation'),
  tool: new EventChannel<ToolEvent>('sparkle:tool'),
  job: new EventChannel<JobEvent>('sparkle:job'),
} as const;
