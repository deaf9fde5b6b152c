import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { errorTypeOf } from '../core/error-type.js';
import { TRACER } from './run-in-span.js';
import { enterSpan, type SpanScope } from './span-scope.js';

/** Attributes that BullMQ gives, under the names of the messaging conventions; its others are left out. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  'bullmq.queue.name': 'messaging.destination.name',
  'bullmq.job.id': 'messaging.message.id',
};

/** What BullMQ calls a span; `exception` may be anything that was thrown. */
export interface QueueSpan {
  setSpanOnContext(active: Context): Context;
  setAttribute(key: string, value: unknown): void;
  setAttributes(attributes: Readonly<Record<string, unknown>>): void;
  addEvent(name: string): void;
  recordException(exception: unknown): void;
  end(): void;
}

/** The `telemetry` option of BullMQ's queues and workers. */
export interface QueueTelemetry {
  readonly tracer: {
    startSpan(name: string, options?: { readonly kind?: number }, parent?: Context): QueueSpan;
  };
  readonly contextManager: {
    // biome-ignore lint/suspicious/noExplicitAny: BullMQ's own signature.
    with<Work extends (...args: any[]) => any>(active: Context, work: Work): ReturnType<Work>;
    active(): Context;
    root(): Context;
    getMetadata(active: Context): string;
    fromMetadata(active: Context, metadata: string): Context;
  };
}

/**
 * Makes a job part of the trace of whoever added it, however long it waits: one span where it is added, one for
 * each of its runs. BullMQ's other operations, such as polling, have none.
 */
export function queueTelemetry(): QueueTelemetry {
  return {
    tracer: { startSpan },
    contextManager: {
      with: (active, work) => context.with(active, work),
      active: () => context.active(),
      root: () => ROOT_CONTEXT,
      getMetadata: (active) => {
        const carrier: Record<string, string> = {};
        propagation.inject(active, carrier);
        return JSON.stringify(carrier);
      },
      // Not within the active context: a worker fetches a job in the context of the one before.
      fromMetadata: (_active, metadata) => propagation.extract(ROOT_CONTEXT, carrierOf(metadata)),
    },
  };
}

function startSpan(name: string, options?: { readonly kind?: number }, parent?: Context): QueueSpan {
  const operation = name.split(' ', 1)[0];
  if (options?.kind === SpanKind.PRODUCER && (operation === 'add' || operation === 'addBulk')) {
    const within = parent ?? context.active();
    return new JobSpan('send', SpanKind.PRODUCER, within);
  }
  if (options?.kind === SpanKind.CONSUMER && operation === 'process')
    return new JobSpan('process', SpanKind.CONSUMER, parent ?? ROOT_CONTEXT);
  return SILENT;
}

/** A job's metadata comes from the queue's store, where anything may have been written. */
function carrierOf(metadata: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(metadata);
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  } catch {
    return {};
  }
}

class JobSpan implements QueueSpan {
  private readonly scope: SpanScope;
  private readonly span: Span;
  private readonly active: Context;

  constructor(
    private readonly operation: 'send' | 'process',
    kind: SpanKind,
    parent: Context,
  ) {
    const attributes = {
      'messaging.system': 'bullmq',
      'messaging.operation.type': operation,
      'messaging.operation.name': operation,
    };
    this.span = trace.getTracer(TRACER).startSpan(operation, { kind, attributes }, parent);
    const entered = enterSpan(parent, this.span);
    this.active = entered.active;
    this.scope = entered.scope;
  }

  setSpanOnContext(_active: Context): Context {
    return this.active;
  }

  setAttribute(key: string, value: unknown): void {
    this.setAttributes({ [key]: value });
  }

  setAttributes(attributes: Readonly<Record<string, unknown>>): void {
    const known: Attributes = {};
    for (const [key, value] of Object.entries(attributes)) {
      const name = ATTRIBUTES[key];
      if (name !== undefined && typeof value === 'string') known[name] = value;
    }
    const queue = known['messaging.destination.name'];
    if (typeof queue === 'string') this.span.updateName(`${this.operation} ${queue}`);
    this.span.setAttributes(known);
  }

  /** Of how a run ended: with a result or a message, which are content. */
  addEvent(name: string): void {
    if (name === 'job failed') this.scope.fail('job_failed');
  }

  recordException(exception: unknown): void {
    this.scope.fail(errorTypeOf(exception));
  }

  end(): void {
    this.scope.end();
  }
}

const SILENT: QueueSpan = {
  setSpanOnContext: (active) => active,
  setAttribute: () => {},
  setAttributes: () => {},
  addEvent: () => {},
  recordException: () => {},
  end: () => {},
};
