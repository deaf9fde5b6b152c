import {
  type Context,
  context,
  createContextKey,
  type Span,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';

/** Attribute names of our own; the others are OpenTelemetry's semantic conventions. */
export const TENANT = 'sparkle.tenant';
const LEFT_OUT = 'sparkle.spans_left_out';

/** Spans of one kind that one request or job may have; what comes after is only counted. */
export const MAX_SPANS_PER_KIND = 32;

const SCOPE = createContextKey('sparkle span scope');

/** The span that this process's part of a request hangs from, and how much hangs from it already. */
export class SpanScope {
  private readonly totals = new Map<string, { count: number; durationMs: number }>();
  private leftOut = 0;
  private tenant: string | undefined;
  private errorType: string | undefined;

  constructor(readonly span: Span) {}

  /** Counts one piece of work; false when it shall have no span of its own. */
  admit(kind: string, durationMs: number): boolean {
    const total = this.totals.get(kind) ?? { count: 0, durationMs: 0 };
    this.totals.set(kind, total);
    total.count++;
    total.durationMs += durationMs;
    if (total.count <= MAX_SPANS_PER_KIND) return true;
    this.leftOut++;
    return false;
  }

  /** Notes whose work this is; false when it is another tenant's, whose name must not appear here. */
  belongsTo(tenantId: string): boolean {
    if (this.tenant === undefined) {
      this.tenant = tenantId;
      this.span.setAttribute(TENANT, tenantId);
    }
    return this.tenant === tenantId;
  }

  /** Notes an error's code or class, the first one only; never its message, which may hold content. */
  note(type: string): void {
    if (this.errorType !== undefined) return;
    this.errorType = type;
    this.span.setAttribute('error.type', type);
  }

  /** Marks the span as failed. */
  fail(type: string): void {
    this.note(type);
    this.span.setStatus({ code: SpanStatusCode.ERROR });
  }

  /** Ends the span with the sums of everything below it, what had no span of its own included. */
  end(): void {
    for (const [kind, { count, durationMs }] of this.totals)
      this.span.setAttributes({
        [`sparkle.${kind}.count`]: count,
        [`sparkle.${kind}.duration_ms`]: Math.round(durationMs * 1000) / 1000,
      });
    if (this.leftOut > 0) this.span.setAttribute(LEFT_OUT, this.leftOut);
    this.span.end();
  }
}

/** `parent` with `span` active in it. A span that is recorded gets a scope of its own. */
export function enterSpan(parent: Context, span: Span): { active: Context; scope: SpanScope } {
  const scope = new SpanScope(span);
  const active = trace.setSpan(parent, span);
  return { active: span.isRecording() ? active.setValue(SCOPE, scope) : active.deleteValue(SCOPE), scope };
}

/** The scope of the work in progress; `undefined` where nothing is traced. */
export function activeScope(): SpanScope | undefined {
  return context.active().getValue(SCOPE) as SpanScope | undefined;
}
