/** What a metric is called, what it means, and which labels and buckets it has. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly unit: 'seconds' | 'bytes' | 'ratio' | 'per_second' | 'tokens' | 'usd' | 'count';
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in `unit`. */
  readonly buckets?: readonly number[];
}

const FAST_SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1] as const;
const CALL_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
const LONG_SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600] as const;

/** Every metric this library exports. */
export const metricCatalog = {
  requestLatency: {
    name: 'request_latency_seconds',
    type: 'histogram',
    help: 'Time from the start of an HTTP request to the end of its response, event streams excluded',
    unit: 'seconds',
    labels: ['method', 'route', 'status'],
    buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5],
  },
  requestStream: {
    name: 'request_stream_seconds',
    type: 'histogram',
    help: 'Time that HTTP event streams stayed open',
    unit: 'seconds',
    labels: ['method', 'route', 'status'],
    buckets: LONG_SECONDS,
  },
  requestErrors: {
    name: 'request_errors_total',
    type: 'counter',
    help: 'HTTP requests answered with 4xx or 5xx, by error code or class',
    unit: 'count',
    labels: ['type', 'status'],
  },
  requestErrorRatio: {
    name: 'request_error_ratio',
    type: 'gauge',
    help: 'Share of HTTP requests answered with 5xx within the sliding window',
    unit: 'ratio',
    labels: [],
  },
  requestRate: {
    name: 'requests_per_second',
    type: 'gauge',
    help: 'HTTP requests finished per second over the last 10 s and 60 s',
    unit: 'per_second',
    labels: ['window'],
  },
  requestsActive: {
    name: 'requests_active',
    type: 'gauge',
    help: 'HTTP requests being answered at this moment',
    unit: 'count',
    labels: [],
  },
  requestsActiveMax: {
    name: 'requests_active_max',
    type: 'gauge',
    help: 'Most HTTP requests that were answered at the same time since the process started',
    unit: 'count',
    labels: [],
  },
  requestLatencyQuantile: {
    name: 'request_latency_quantile_seconds',
    type: 'gauge',
    help: 'Latency percentiles of this process over the sliding window, within 1 per cent',
    unit: 'seconds',
    labels: ['quantile'],
  },

  cacheEvents: {
    name: 'cache_events_total',
    type: 'counter',
    help: 'Look-ups and changes in cache tiers',
    unit: 'count',
    labels: ['tenant', 'namespace', 'tier', 'outcome'],
  },
  cacheHitRatio: {
    name: 'cache_hit_ratio',
    type: 'gauge',
    help: 'Share of look-ups a cache tier answered (hit, stale or negative) within the sliding window',
    unit: 'ratio',
    labels: ['tier'],
  },
  cacheOperation: {
    name: 'cache_operation_seconds',
    type: 'histogram',
    help: 'Duration of cache operations that report one',
    unit: 'seconds',
    labels: ['tier', 'outcome'],
    buckets: FAST_SECONDS,
  },
  cacheTtl: {
    name: 'cache_ttl_seconds',
    type: 'histogram',
    help: 'Time to live given to values as they are set, after jitter',
    unit: 'seconds',
    labels: ['tier'],
    buckets: [1, 5, 15, 30, 60, 120, 300, 600, 3600, 86_400],
  },

  limitDecisions: {
    name: 'limit_decisions_total',
    type: 'counter',
    help: 'Decisions of rate limits, budgets and semaphores',
    unit: 'count',
    labels: ['tenant', 'limiter', 'kind', 'outcome'],
  },
  limitHits: {
    name: 'limit_hits_total',
    type: 'counter',
    help: 'Rejections by the dimension that was exhausted',
    unit: 'count',
    labels: ['limiter', 'dimension'],
  },
  limitWait: {
    name: 'limit_wait_seconds',
    type: 'histogram',
    help: 'Time waited for a permit',
    unit: 'seconds',
    labels: ['limiter', 'kind'],
    buckets: [0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60],
  },

  dbPoolSize: {
    name: 'db_pool_size',
    type: 'gauge',
    help: 'Connections the pool keeps open',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolCheckedOut: {
    name: 'db_pool_checked_out',
    type: 'gauge',
    help: 'Connections in use',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolOverflow: {
    name: 'db_pool_overflow',
    type: 'gauge',
    help: 'Connections open beyond the size of the pool',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolWaiting: {
    name: 'db_pool_waiting',
    type: 'gauge',
    help: 'Callers waiting for a connection',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolTimeouts: {
    name: 'db_pool_timeout_total',
    type: 'counter',
    help: 'Callers that got no connection in time',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolHold: {
    name: 'db_pool_hold_seconds',
    type: 'histogram',
    help: 'Time a connection was held before it was given back',
    unit: 'seconds',
    labels: ['pool'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60],
  },
  dbPoolLongHolds: {
    name: 'db_pool_long_holds_total',
    type: 'counter',
    help: 'Connections held for so long that it was worth a warning',
    unit: 'count',
    labels: ['pool'],
  },
  dbPoolSaturations: {
    name: 'db_pool_saturated_total',
    type: 'counter',
    help: 'Times that nearly all connections came to be in use',
    unit: 'count',
    labels: ['pool'],
  },
  dbReplicaReads: {
    name: 'db_replica_reads_total',
    type: 'counter',
    help: 'Reads for which a replica was asked, by what became of it',
    unit: 'count',
    labels: ['replica', 'outcome'],
  },
  dbReplicaLag: {
    name: 'db_replica_lag_seconds',
    type: 'gauge',
    help: 'How far a replica was behind, at most, when it was last asked',
    unit: 'seconds',
    labels: ['replica'],
  },
  dbRepeatedQueries: {
    name: 'db_repeated_queries_total',
    type: 'counter',
    help: 'Requests that sent one statement suspiciously often (only where that is looked for)',
    unit: 'count',
    labels: [],
  },
  dbQuery: {
    name: 'db_query_seconds',
    type: 'histogram',
    help: 'Duration of database statements',
    unit: 'seconds',
    labels: ['outcome'],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  },
  dbQueries: {
    name: 'db_queries_total',
    type: 'counter',
    help: 'Database statements by tenant',
    unit: 'count',
    labels: ['tenant', 'outcome'],
  },
  dbTransaction: {
    name: 'db_transaction_seconds',
    type: 'histogram',
    help: 'Duration of database transactions by how they ended',
    unit: 'seconds',
    labels: ['outcome'],
    buckets: CALL_SECONDS,
  },

  modelCalls: {
    name: 'model_calls_total',
    type: 'counter',
    help: 'Calls of chat and embedding models',
    unit: 'count',
    labels: ['tenant', 'model', 'operation', 'outcome'],
  },
  modelCall: {
    name: 'model_call_seconds',
    type: 'histogram',
    help: 'Duration of model calls',
    unit: 'seconds',
    labels: ['model', 'operation', 'outcome'],
    buckets: CALL_SECONDS,
  },
  modelTokens: {
    name: 'model_tokens_total',
    type: 'counter',
    help: 'Tokens sent to and received from models',
    unit: 'tokens',
    labels: ['tenant', 'model', 'direction'],
  },
  modelCost: {
    name: 'model_cost_usd_total',
    type: 'counter',
    help: 'Cost of model calls in US dollars, where the price is known',
    unit: 'usd',
    labels: ['tenant', 'model'],
  },

  retrievals: {
    name: 'retrievals_total',
    type: 'counter',
    help: 'Retrievals for questions',
    unit: 'count',
    labels: ['tenant', 'strategy'],
  },
  retrieval: {
    name: 'retrieval_seconds',
    type: 'histogram',
    help: 'Duration of retrievals',
    unit: 'seconds',
    labels: ['strategy'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.12, 0.25, 0.5, 1, 2.5],
  },
  retrievalChunks: {
    name: 'retrieval_chunks',
    type: 'histogram',
    help: 'Passages per retrieval',
    unit: 'count',
    labels: ['strategy'],
    buckets: [0, 1, 2, 5, 10, 20, 50],
  },
  retrievalPaths: {
    name: 'retrieval_paths',
    type: 'histogram',
    help: 'Graph paths per retrieval',
    unit: 'count',
    labels: ['strategy'],
    buckets: [0, 1, 2, 5, 10, 20],
  },
  retrievalContext: {
    name: 'retrieval_context_tokens',
    type: 'histogram',
    help: 'Tokens of the context per retrieval',
    unit: 'tokens',
    labels: ['strategy'],
    buckets: [100, 250, 500, 750, 1000, 2000, 4000, 8000],
  },

  ingestionSteps: {
    name: 'ingestion_steps_total',
    type: 'counter',
    help: 'Finished steps of document ingestion',
    unit: 'count',
    labels: ['tenant', 'step', 'outcome'],
  },
  ingestionStep: {
    name: 'ingestion_step_seconds',
    type: 'histogram',
    help: 'Duration of ingestion steps',
    unit: 'seconds',
    labels: ['step', 'outcome'],
    buckets: LONG_SECONDS,
  },

  conversationEvents: {
    name: 'conversation_events_total',
    type: 'counter',
    help: 'Conversation turns served and summaries made',
    unit: 'count',
    labels: ['tenant', 'kind', 'strategy', 'outcome'],
  },
  conversation: {
    name: 'conversation_seconds',
    type: 'histogram',
    help: 'Duration of conversation turns and summaries',
    unit: 'seconds',
    labels: ['kind', 'outcome'],
    buckets: CALL_SECONDS,
  },

  jobAttempts: {
    name: 'job_attempts_total',
    type: 'counter',
    help: 'Attempts of queued jobs',
    unit: 'count',
    labels: ['tenant', 'queue', 'outcome'],
  },
  job: {
    name: 'job_seconds',
    type: 'histogram',
    help: 'Duration of job attempts',
    unit: 'seconds',
    labels: ['queue', 'outcome'],
    buckets: LONG_SECONDS,
  },
  jobAge: {
    name: 'job_age_seconds',
    type: 'histogram',
    help: 'Time from enqueueing a job to the start of an attempt',
    unit: 'seconds',
    labels: ['queue'],
    buckets: LONG_SECONDS,
  },
  queueDepth: {
    name: 'queue_depth',
    type: 'gauge',
    help: 'Jobs in a queue by state, read from the sources the application registers',
    unit: 'count',
    labels: ['queue', 'state'],
  },

  cpuUsage: {
    name: 'system_cpu_usage_ratio',
    type: 'gauge',
    help: 'CPU time used as a share of what the container, or else the host, may use',
    unit: 'ratio',
    labels: [],
  },
  cpuLimit: {
    name: 'system_cpu_limit_cores',
    type: 'gauge',
    help: 'CPU cores the container, or else the host, may use',
    unit: 'count',
    labels: [],
  },
  memoryUsage: {
    name: 'system_memory_usage_ratio',
    type: 'gauge',
    help: 'Memory used as a share of what the container, or else the host, may use',
    unit: 'ratio',
    labels: [],
  },
  memoryLimit: {
    name: 'system_memory_limit_bytes',
    type: 'gauge',
    help: 'Memory the container, or else the host, may use',
    unit: 'bytes',
    labels: [],
  },
  loadAverage: {
    name: 'system_load_average',
    type: 'gauge',
    help: 'Load average of the host over 1, 5 and 15 minutes',
    unit: 'count',
    labels: ['window'],
  },
  diskUsage: {
    name: 'system_disk_usage_ratio',
    type: 'gauge',
    help: 'Used share of the file system that holds a path',
    unit: 'ratio',
    labels: ['path'],
  },
  diskFree: {
    name: 'system_disk_free_bytes',
    type: 'gauge',
    help: 'Bytes an unprivileged process can still write to the file system that holds a path',
    unit: 'bytes',
    labels: ['path'],
  },

  processCpu: {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'User and system CPU time of this process',
    unit: 'seconds',
    labels: [],
  },
  processStart: {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'Start time of this process since the Unix epoch',
    unit: 'seconds',
    labels: [],
  },
  processMemory: {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory of this process',
    unit: 'bytes',
    labels: [],
  },
  processThreads: {
    name: 'process_threads',
    type: 'gauge',
    help: 'Operating system threads of this process (Linux only)',
    unit: 'count',
    labels: [],
  },
  heapTotal: {
    name: 'nodejs_heap_size_total_bytes',
    type: 'gauge',
    help: 'Size of the V8 heap',
    unit: 'bytes',
    labels: [],
  },
  heapUsed: {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    help: 'Used part of the V8 heap',
    unit: 'bytes',
    labels: [],
  },
  heapLimit: {
    name: 'nodejs_heap_size_limit_bytes',
    type: 'gauge',
    help: 'Size at which V8 gives up',
    unit: 'bytes',
    labels: [],
  },
  externalMemory: {
    name: 'nodejs_external_memory_bytes',
    type: 'gauge',
    help: 'Memory of C++ objects bound to JavaScript objects',
    unit: 'bytes',
    labels: [],
  },
  activeResources: {
    name: 'nodejs_active_resources',
    type: 'gauge',
    help: 'Handles and requests that keep the event loop alive, by type',
    unit: 'count',
    labels: ['type'],
  },
  eventLoopDelay: {
    name: 'nodejs_eventloop_delay_seconds',
    type: 'gauge',
    help: 'Event-loop delay since the previous scrape',
    unit: 'seconds',
    labels: ['quantile'],
  },
  eventLoopUtilization: {
    name: 'nodejs_eventloop_utilization_ratio',
    type: 'gauge',
    help: 'Share of time the event loop was busy since the previous scrape',
    unit: 'ratio',
    labels: [],
  },
  gcDuration: {
    name: 'nodejs_gc_duration_seconds',
    type: 'histogram',
    help: 'Duration of garbage collections by kind',
    unit: 'seconds',
    labels: ['kind'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
  },

  eventsRejected: {
    name: 'metrics_events_rejected_total',
    type: 'counter',
    help: 'Events that could not be counted, for instance because a figure was negative',
    unit: 'count',
    labels: ['channel'],
  },
} as const satisfies Record<string, MetricDefinition>;

type Catalog = typeof metricCatalog;

/** Key of a metric in {@link metricCatalog}. */
export type MetricKey = keyof Catalog;
type KeysOf<Type extends MetricDefinition['type']> = {
  [Key in MetricKey]: Catalog[Key]['type'] extends Type ? Key : never;
}[MetricKey];
export type CounterKey = KeysOf<'counter'>;
export type GaugeKey = KeysOf<'gauge'>;
export type HistogramKey = KeysOf<'histogram'>;

/** One value per label of the metric, no more and no fewer. */
export type LabelValues<Key extends MetricKey> = Readonly<Record<Catalog[Key]['labels'][number], string>>;
