import { type TenantPlan, tenantPlanSchema } from '@sparkle/concurrency';
import type { MetricsOptions } from '@sparkle/metrics';
import { z } from 'zod';
import { ConfigurationInvalidError } from '../errors.js';
import type { WorkerLoad } from '../queue/job-queues.js';
import { QUEUE_NAMES, type QueueName } from '../queue/queues.js';
import {
  chatOf,
  embeddingOf,
  modelVariables,
  type RemoteChatSettings,
  type RemoteEmbeddingSettings,
} from './model-environment.js';
import { tracingOf, tracingVariables } from './tracing-environment.js';

const integer = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);

const isUrl = (value: string, protocols: readonly string[]) =>
  URL.canParse(value) && protocols.includes(new URL(value).protocol);

const starts = (protocols: readonly string[]) =>
  `starting with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`;

const url = (...protocols: string[]) =>
  z.string().refine((value) => isUrl(value, protocols), { message: `an address ${starts(protocols)}` });

const urls = (...protocols: string[]) =>
  z.string().refine((value) => value.split(',').every((part) => isUrl(part, protocols)), {
    message: `an address ${starts(protocols)}, or several separated by commas`,
  });

/** A plan as an environment variable states it: only the rate is needed. */
const plan = z
  .strictObject({
    qps: tenantPlanSchema.shape.qps,
    burst: tenantPlanSchema.shape.burst,
    permits: tenantPlanSchema.shape.permits.default(8),
    threadShare: tenantPlanSchema.shape.threadShare.default(4),
    tokenBudget: tenantPlanSchema.shape.tokenBudget.default({ tokens: 1_000_000, windowMs: 3_600_000 }),
    hourly: tenantPlanSchema.shape.hourly,
  })
  .transform((value): TenantPlan => value);

const planJson = z.string().transform((text, context) => {
  try {
    const parsed = plan.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Reported below, like JSON of the wrong shape.
  }
  context.addIssue('JSON such as {"qps":20,"burst":40,"permits":8}');
  return z.NEVER;
});

/** What differs for some queues, as an environment variable states it. */
const queueLoads = z.partialRecord(
  z.enum(QUEUE_NAMES),
  z.strictObject({
    concurrency: z.int().min(1).max(64).optional(),
    perSecond: z.int().min(1).max(10_000).optional(),
  }),
);

const queueLoadsJson = z.string().transform((text, context) => {
  try {
    const parsed = queueLoads.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Reported below, like JSON of the wrong shape.
  }
  context.addIssue(
    `JSON such as {"ingestion":{"concurrency":4,"perSecond":10}}; the queues are ${QUEUE_NAMES.join(', ')}`,
  );
  return z.NEVER;
});

const environment = z.object({
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  PORT: integer(0, 65_535).optional(),
  HOST: z.string().min(1).default('127.0.0.1'),
  SPARKLE_GRPC_PORT: z.union([z.literal('off'), integer(0, 65_535)], 'off, or a port').optional(),
  SPARKLE_WS_ORIGINS: urls('http:', 'https:').optional(),
  SPARKLE_WS_CONNECTIONS_PER_TENANT: integer(1, 1e9).default(1_000),
  SPARKLE_DATA: z.string().min(1).default('.sparkle'),
  SPARKLE_PROMETHEUS_URL: url('http:', 'https:').optional(),
  SPARKLE_REVISION: z.string().min(1).max(100).optional(),
  ...tracingVariables,
  SPARKLE_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'log', 'debug', 'verbose']).default('warn'),
  DATABASE_URL: url('postgres:', 'postgresql:').optional(),
  DATABASE_POOL_SIZE: integer(1, 500).default(20),
  SPARKLE_DETECT_REPEATED_QUERIES: z.enum(['true', 'false']).default('false'),
  SPARKLE_PARTITION_MONTHS_AHEAD: integer(0, 120).default(3),
  SPARKLE_STUDY_RECORDS_KEEP_MONTHS: integer(1, 1200).optional(),
  SPARKLE_ARCHIVE_FOLDER: z.string().min(1).optional(),
  SPARKLE_TENANT_ROLE_SECRET: z.string().min(32, 'a secret of at least 32 characters').optional(),
  REDIS_URL: urls('redis:', 'rediss:').optional(),
  SPARKLE_REDIS_DURABLE: z.enum(['true', 'false']).default('false'),
  SPARKLE_JWT_KEY: z.string().min(32, 'a secret of at least 32 characters').optional(),
  SPARKLE_DEFAULT_PLAN: planJson.optional(),
  SPARKLE_LIMIT_USER_PER_HOUR: integer(1, 1e9).default(100),
  SPARKLE_LIMIT_ACTION_PER_HOUR: integer(1, 1e9).default(1000),
  SPARKLE_LIMIT_TENANT_PER_HOUR: integer(1, 1e9).default(5000),
  SPARKLE_DOCUMENT_MAX_BYTES: integer(1, 64 << 20).default(5 << 20),
  SPARKLE_MAX_DOCUMENTS_PER_TENANT: integer(1, 1e9).optional(),
  SPARKLE_MAX_BYTES_PER_TENANT: integer(1, Number.MAX_SAFE_INTEGER).optional(),
  SPARKLE_EXTRACTION: z.enum(['rules', 'model']).default('rules'),
  ...modelVariables,
  SPARKLE_WORKER_CONCURRENCY: integer(1, 64).default(2),
  SPARKLE_WORKER_QUEUES: queueLoadsJson.default({}),
});

/** Injection token of the {@link RuntimeConfig}. */
export const RuntimeConfig = Symbol('RuntimeConfig');

/** What an application runs with; made by {@link parseEnvironment} and nowhere else. */
export interface RuntimeConfig {
  readonly mode: 'embedded' | 'production';
  /** Kind of process: names its figures among those of others, and its traces. */
  readonly serviceName: string;
  /** Commit the build was made from. */
  readonly revision?: string;
  readonly host: string;
  readonly port: number;
  /** Absent: no gRPC. */
  readonly grpcPort?: number;
  readonly webSocket: {
    /** Origins whose pages may connect; absent: all. */
    readonly origins?: readonly string[];
    /** Of one tenant, to this process. */
    readonly connectionsPerTenant: number;
  };
  readonly logLevel: z.infer<typeof environment>['SPARKLE_LOG_LEVEL'];
  /** Folder of the embedded services. */
  readonly dataDirectory: string;
  /** Set in production mode. */
  readonly databaseUrl?: string;
  readonly databasePoolSize: number;
  /** Warn when one request sends statements of one shape again and again. */
  readonly detectRepeatedQueries: boolean;
  /** Partitions of study records; without `keepMonths` nothing is archived. */
  readonly studyRecords: {
    readonly monthsAhead: number;
    readonly keepMonths?: number;
    readonly archiveFolder?: string;
  };
  /** Makes the passwords of tenants' database roles. Absent: every tenant works as the application's login. */
  readonly tenantRoleSecret?: string;
  /** Refuse a login that bypasses row-level security. */
  readonly requireUnprivilegedDatabaseRole: boolean;
  /** Set in production mode; several addresses separated by commas are a Redis Cluster. */
  readonly redisUrl?: string;
  /** Redis writes every change to disk before it answers: permits need not wait for a lease after its start. */
  readonly redisDurable: boolean;
  /** Signs and verifies access tokens; embedded mode makes its own when this is not set. */
  readonly jwtKey?: string;
  /** Plan of tenants that have none of their own. Without it, such tenants are refused. */
  readonly defaultPlan?: TenantPlan;
  readonly limits: {
    readonly userPerHour: number;
    readonly actionPerHour: number;
    readonly tenantPerHour: number;
  };
  readonly documentMaxBytes: number;
  /** What a tenant may store; what is absent has the default of `@sparkle/graphrag`. */
  readonly documentQuota: { readonly documents?: number; readonly bytes?: number };
  /** What reads entities and relations out of passages. */
  readonly extraction: 'rules' | 'model';
  /** Absent: the local extractive model. */
  readonly chat?: RemoteChatSettings;
  /** Absent: the local embedding model. */
  readonly embedding?: RemoteEmbeddingSettings;
  readonly embeddingDimensions: number;
  /** How much of each queue one worker process runs. */
  readonly queues: Readonly<Record<QueueName, WorkerLoad>>;
  /** Absent: nothing is traced. */
  readonly tracing?: MetricsOptions['tracing'];
  /** The Prometheus whose alert rules the production checklist reads. */
  readonly prometheusUrl?: string;
}

/** The plan every tenant has in embedded mode, unless SPARKLE_DEFAULT_PLAN says otherwise. */
const EMBEDDED_PLAN = plan.parse({ qps: 20, burst: 40 });

/** The local embedding model's vectors have this length and no other. */
const LOCAL_EMBEDDING_DIMENSIONS = 512;

/**
 * Reads an application's configuration from its environment variables; `.env.example` documents each.
 * Empty variables count as absent.
 * @param source `process.env`, which only applications may touch.
 * @param options `embedded: false` for applications that run on servers only; `defaultPort` (3000) stands in
 * for PORT, `serviceName` (sparkle) for OTEL_SERVICE_NAME.
 * @throws ConfigurationInvalidError naming every wrong variable at once, never a value.
 */
export function parseEnvironment(
  source: Readonly<Record<string, string | undefined>>,
  options: { embedded: boolean; defaultPort?: number; defaultGrpcPort?: number; serviceName?: string },
): RuntimeConfig {
  const present = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(present);
  if (!parsed.success) {
    throw new ConfigurationInvalidError(
      parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    );
  }
  const values = parsed.data;
  const problems = relations(values, options);
  if (problems.length > 0) throw new ConfigurationInvalidError(problems);
  const mode = values.DATABASE_URL ? 'production' : 'embedded';
  const tracing = tracingOf(values, options.serviceName ?? 'sparkle');
  return {
    mode,
    serviceName: values.OTEL_SERVICE_NAME ?? options.serviceName ?? 'sparkle',
    ...(values.SPARKLE_REVISION !== undefined && { revision: values.SPARKLE_REVISION }),
    host: values.HOST,
    port: values.PORT ?? options.defaultPort ?? 3000,
    ...grpcPortOf(values.SPARKLE_GRPC_PORT ?? options.defaultGrpcPort ?? 'off'),
    webSocket: {
      ...(values.SPARKLE_WS_ORIGINS !== undefined && {
        origins: values.SPARKLE_WS_ORIGINS.split(',').map((origin) => new URL(origin.trim()).origin),
      }),
      connectionsPerTenant: values.SPARKLE_WS_CONNECTIONS_PER_TENANT,
    },
    logLevel: values.SPARKLE_LOG_LEVEL,
    dataDirectory: values.SPARKLE_DATA,
    databaseUrl: values.DATABASE_URL,
    databasePoolSize: values.DATABASE_POOL_SIZE,
    detectRepeatedQueries: values.SPARKLE_DETECT_REPEATED_QUERIES === 'true',
    studyRecords: {
      monthsAhead: values.SPARKLE_PARTITION_MONTHS_AHEAD,
      ...(values.SPARKLE_STUDY_RECORDS_KEEP_MONTHS !== undefined && {
        keepMonths: values.SPARKLE_STUDY_RECORDS_KEEP_MONTHS,
      }),
      ...(values.SPARKLE_ARCHIVE_FOLDER !== undefined && { archiveFolder: values.SPARKLE_ARCHIVE_FOLDER }),
    },
    tenantRoleSecret: values.SPARKLE_TENANT_ROLE_SECRET,
    requireUnprivilegedDatabaseRole: values.NODE_ENV === 'production',
    redisUrl: values.REDIS_URL,
    redisDurable: values.SPARKLE_REDIS_DURABLE === 'true',
    jwtKey: values.SPARKLE_JWT_KEY,
    defaultPlan: values.SPARKLE_DEFAULT_PLAN ?? (mode === 'embedded' ? EMBEDDED_PLAN : undefined),
    limits: {
      userPerHour: values.SPARKLE_LIMIT_USER_PER_HOUR,
      actionPerHour: values.SPARKLE_LIMIT_ACTION_PER_HOUR,
      tenantPerHour: values.SPARKLE_LIMIT_TENANT_PER_HOUR,
    },
    documentMaxBytes: values.SPARKLE_DOCUMENT_MAX_BYTES,
    documentQuota: {
      ...(values.SPARKLE_MAX_DOCUMENTS_PER_TENANT !== undefined && {
        documents: values.SPARKLE_MAX_DOCUMENTS_PER_TENANT,
      }),
      ...(values.SPARKLE_MAX_BYTES_PER_TENANT !== undefined && {
        bytes: values.SPARKLE_MAX_BYTES_PER_TENANT,
      }),
    },
    extraction: values.SPARKLE_EXTRACTION,
    chat: chatOf(values),
    embedding: embeddingOf(values),
    embeddingDimensions: values.SPARKLE_EMBEDDING_DIMENSIONS,
    queues: loadsOf(values),
    ...(tracing && { tracing }),
    ...(values.SPARKLE_PROMETHEUS_URL !== undefined && { prometheusUrl: values.SPARKLE_PROMETHEUS_URL }),
  };
}

function loadsOf(values: z.infer<typeof environment>): Record<QueueName, WorkerLoad> {
  const loads = QUEUE_NAMES.map((name) => [
    name,
    { concurrency: values.SPARKLE_WORKER_CONCURRENCY, ...values.SPARKLE_WORKER_QUEUES[name] },
  ]);
  return Object.fromEntries(loads);
}

function grpcPortOf(port: number | 'off'): { grpcPort?: number } {
  return port === 'off' ? {} : { grpcPort: port };
}

function relations(values: z.infer<typeof environment>, options: { embedded: boolean }): string[] {
  const problems: string[] = [];
  const { DATABASE_URL, REDIS_URL } = values;
  if (!options.embedded && !DATABASE_URL)
    problems.push('DATABASE_URL: this application needs PostgreSQL; "npm start" runs without it');
  if (!options.embedded && !REDIS_URL)
    problems.push('REDIS_URL: this application needs Redis; "npm start" runs without it');
  if (options.embedded && DATABASE_URL && !REDIS_URL)
    problems.push('REDIS_URL: needed together with DATABASE_URL');
  if (options.embedded && REDIS_URL && !DATABASE_URL)
    problems.push('DATABASE_URL: needed together with REDIS_URL');
  if (DATABASE_URL && !values.SPARKLE_JWT_KEY)
    problems.push('SPARKLE_JWT_KEY: production needs a key of its own, a secret of at least 32 characters');
  if (values.SPARKLE_STUDY_RECORDS_KEEP_MONTHS && !values.SPARKLE_ARCHIVE_FOLDER)
    problems.push('SPARKLE_ARCHIVE_FOLDER: needed together with SPARKLE_STUDY_RECORDS_KEEP_MONTHS');
  if (values.SPARKLE_TENANT_ROLE_SECRET && !DATABASE_URL)
    problems.push("SPARKLE_TENANT_ROLE_SECRET: tenants' database roles need DATABASE_URL");
  for (const kind of ['CHAT', 'EMBEDDING'] as const) {
    const [baseUrl, model] = [values[`SPARKLE_${kind}_BASE_URL`], values[`SPARKLE_${kind}_MODEL`]];
    if (baseUrl && !model)
      problems.push(`SPARKLE_${kind}_MODEL: needed together with SPARKLE_${kind}_BASE_URL`);
    if (model && !baseUrl)
      problems.push(`SPARKLE_${kind}_BASE_URL: needed together with SPARKLE_${kind}_MODEL`);
  }
  if (values.SPARKLE_EXTRACTION === 'model' && !values.SPARKLE_CHAT_BASE_URL)
    problems.push('SPARKLE_CHAT_BASE_URL: needed together with SPARKLE_EXTRACTION=model');
  if (
    !values.SPARKLE_EMBEDDING_BASE_URL &&
    values.SPARKLE_EMBEDDING_DIMENSIONS !== LOCAL_EMBEDDING_DIMENSIONS
  )
    problems.push(
      `SPARKLE_EMBEDDING_DIMENSIONS: the local model has ${LOCAL_EMBEDDING_DIMENSIONS}; others need SPARKLE_EMBEDDING_BASE_URL`,
    );
  return problems;
}
