import type { TenantIdInvalidError, TenantMissingError } from '@sparkle/contracts';
import { isSparkleError } from '@sparkle/contracts';
import type * as errors from '../errors.js';

/** What a caller may know of a failure, for the application's exception filters. */
export interface ConcurrencyProblem {
  readonly code: string;
  readonly message: string;
  /** Status of an HTTP answer. */
  readonly httpStatus: number;
  /** Status code of a gRPC answer. */
  readonly grpcStatus: number;
  /** Fields of the error to act upon: `retryAfterMs`, `dimension`, `limit`, `remaining`, `resetMs`. */
  readonly details: Readonly<Record<string, string | number>>;
}

type Kind = 'limited' | 'refused' | 'left' | 'unavailable' | 'late' | 'internal';

/** HTTP: RFC 9110 and 6585; 499 is what nginx logs for a client that left. gRPC: its status codes. */
const STATUS: Readonly<Record<Exclude<Kind, 'internal'>, { readonly http: number; readonly grpc: number }>> =
  {
    limited: { http: 429, grpc: 8 },
    refused: { http: 403, grpc: 7 },
    left: { http: 499, grpc: 1 },
    unavailable: { http: 503, grpc: 14 },
    late: { http: 504, grpc: 4 },
  };

type ErrorClass = (typeof errors)[keyof typeof errors];
type CodeOf<E> = E extends { readonly code: infer Code extends string }
  ? string extends Code
    ? never
    : Code
  : never;
type Code =
  | CodeOf<InstanceType<Extract<ErrorClass, abstract new (...args: never[]) => unknown>>>
  | TenantMissingError['code']
  | TenantIdInvalidError['code'];

/** Every code of this library: a new one does not compile until it is told here what it means. */
const KIND: Readonly<Record<Code, Kind>> = {
  RATE_LIMITED: 'limited',
  PERMIT_TIMEOUT: 'limited',
  PERMIT_QUEUE_FULL: 'limited',
  TOKEN_BUDGET_EXCEEDED: 'limited',
  TOKEN_AMOUNT_INVALID: 'limited',
  TASK_QUEUE_FULL: 'limited',
  TASK_DROPPED: 'limited',
  TENANT_QUEUE_FULL: 'limited',

  TENANT_MISSING: 'refused',
  TENANT_ID_INVALID: 'refused',
  TENANT_PLAN_MISSING: 'refused',
  TENANT_SUSPENDED: 'refused',

  CALLER_LEFT: 'left',

  LIMIT_STORE_FAILED: 'unavailable',
  BUDGET_STORE_FAILED: 'unavailable',
  PERMIT_STORE_FAILED: 'unavailable',
  TENANT_PLAN_STORE_FAILED: 'unavailable',
  PERMIT_LOST: 'unavailable',
  SEMAPHORE_CLOSED: 'unavailable',
  SCHEDULER_CLOSED: 'unavailable',
  TENANT_THREADS_CLOSED: 'unavailable',
  LOAD_SHEDDED: 'unavailable',

  TASK_TIMEOUT: 'late',
  BATCH_ITEM_TIMEOUT: 'late',
  TENANT_TASK_TIMEOUT: 'late',

  CONCURRENCY_OPTIONS_INVALID: 'internal',
  RATE_LIMIT_REQUEST_INVALID: 'internal',
  SEMAPHORE_SETTINGS_INVALID: 'internal',
  SCHEDULER_SETTINGS_INVALID: 'internal',
  BATCH_OPTIONS_INVALID: 'internal',
  BATCH_SOURCE_FAILED: 'internal',
  ADAPTIVE_LIMIT_SETTINGS_INVALID: 'internal',
  TENANT_THREADS_SETTINGS_INVALID: 'internal',
  TENANT_TASK_INVALID: 'internal',
  TENANT_TASK_FAILED: 'internal',
  TENANT_THREAD_CRASHED: 'internal',
  TENANT_PLAN_INVALID: 'internal',
  PERMIT_MISSING: 'internal',
  RESOURCE_SCOPE_CLOSED: 'internal',
  RESOURCE_CLEANUP_FAILED: 'internal',
  RESOURCE_CLEANUP_TIMEOUT: 'internal',
  STORE_TIMEOUT: 'internal',
  SCRIPT_REPLY_INVALID: 'internal',
};

const DETAILS = ['retryAfterMs', 'dimension', 'limit', 'remaining', 'resetMs'] as const;

/**
 * What to tell a caller of a failure of this library, or `undefined` when it is none of its business: foreign
 * errors, and mistakes of configuration or programming.
 */
export function problemOf(error: unknown): ConcurrencyProblem | undefined {
  if (!isSparkleError(error)) return undefined;
  const kind = (KIND as Readonly<Record<string, Kind>>)[error.code];
  if (kind === undefined || kind === 'internal') return undefined;
  const details: Record<string, string | number> = {};
  for (const name of DETAILS) {
    const value = (error as unknown as Record<string, unknown>)[name];
    if (typeof value === 'string' || typeof value === 'number') details[name] = value;
  }
  const { http, grpc } = STATUS[kind];
  return { code: error.code, message: error.message, httpStatus: http, grpcStatus: grpc, details };
}
