import {
  type Attributes,
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { TenantContext } from '@sparkle/contracts';
import { errorTypeOf } from '../core/error-type.js';
import { activeScope, enterSpan } from './span-scope.js';

export const TRACER = '@sparkle/metrics';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/** What a span of {@link runInSpan} is like. */
export interface WorkSpan {
  /** Default `internal`. */
  readonly kind?: keyof typeof KINDS;
  /** Headers or metadata of who asked: its `traceparent` (W3C Trace Context) says which trace to continue. */
  readonly carrier?: Readonly<Record<string, string | string[] | undefined>>;
  /** No content, no secrets. */
  readonly attributes?: Attributes;
}

/**
 * Runs `work` inside a span: what it publishes on Sparkle's channels, and the jobs it adds, become part of the
 * span's trace. The span ends with `work`, or with the promise it returns; an error is noted by its code only.
 * Where nothing is traced this is a plain call. For doors other than HTTP, which is traced by itself.
 * @param name an operation, the same for all its calls.
 */
export function runInSpan<T>(name: string, options: WorkSpan, work: () => T): T {
  const { kind = 'internal', carrier, attributes = {} } = options;
  const parent = carrier ? propagation.extract(ROOT_CONTEXT, carrier) : context.active();
  const span = trace.getTracer(TRACER).startSpan(name, { kind: KINDS[kind], attributes }, parent);
  const { active, scope } = enterSpan(parent, span);
  const tenantId = TenantContext.current()?.tenantId;
  if (tenantId !== undefined) scope.belongsTo(tenantId);
  const failed = (error: unknown): never => {
    scope.fail(errorTypeOf(error));
    scope.end();
    throw error;
  };
  let result: T;
  try {
    result = context.with(active, work);
  } catch (error) {
    return failed(error);
  }
  if (result instanceof Promise)
    return result.then((value) => {
      scope.end();
      return value;
    }, failed) as T;
  scope.end();
  return result;
}

/** Id of the trace in progress, 32 hexadecimal digits; `undefined` where nothing is traced. */
export function currentTraceId(): string | undefined {
  const spanContext = trace.getSpanContext(context.active());
  return spanContext && isSpanContextValid(spanContext) ? spanContext.traceId : undefined;
}

/** Marks the span in progress as failed, where its work ends without throwing: by a code, never by a message. */
export function noteSpanError(type: string): void {
  activeScope()?.fail(type);
}
