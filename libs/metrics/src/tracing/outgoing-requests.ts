import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { TRACER } from './run-in-span.js';
import { activeScope } from './span-scope.js';

/** The part of undici's request that is used here; see its docs on diagnostics channels. */
interface OutgoingRequest {
  readonly method: string;
  readonly origin?: string | URL;
  addHeader(name: string, value: string): unknown;
}

/**
 * Tells servers asked through `fetch` which trace they are part of, by a `traceparent` header, and gives each such
 * request a client span. Requests made outside of a trace stay as they are.
 * @returns a function that ends this.
 */
export function traceOutgoingRequests(): () => void {
  const spans = new WeakMap<object, Span>();
  const end = (request: object, change: (span: Span) => void) => {
    const span = spans.get(request);
    if (!span) return;
    spans.delete(request);
    change(span);
    span.end();
  };
  const listeners: Record<string, (message: unknown) => void> = {
    'undici:request:create': (message) => {
      const { request } = message as { request: OutgoingRequest };
      begin(request, spans);
    },
    'undici:request:headers': (message) => {
      const { request, response } = message as { request: object; response: { statusCode: number } };
      const span = spans.get(request);
      span?.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 400) fail(span, String(response.statusCode));
    },
    'undici:request:trailers': (message) => end((message as { request: object }).request, () => {}),
    'undici:request:error': (message) => {
      const { request, error } = message as { request: object; error: { name?: string; code?: string } };
      end(request, (span) => fail(span, error.code ?? error.name ?? 'unknown'));
    },
  };
  for (const [channel, listener] of Object.entries(listeners)) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of Object.entries(listeners)) unsubscribe(channel, listener);
  };
}

function begin(request: OutgoingRequest, spans: WeakMap<object, Span>): void {
  let active = context.active();
  if (!trace.getSpanContext(active)) return;
  if (activeScope()?.admit('http', 0)) {
    const span = trace.getTracer(TRACER).startSpan(request.method, {
      kind: SpanKind.CLIENT,
      attributes: { 'http.request.method': request.method, ...serverOf(request.origin) },
    });
    spans.set(request, span);
    active = trace.setSpan(active, span);
  }
  propagation.inject(active, request, { set: (carrier, key, value) => carrier.addHeader(key, value) });
}

/** Host and port only: paths and queries may hold content or secrets. */
function serverOf(origin: string | URL | undefined) {
  if (origin === undefined || !URL.canParse(String(origin))) return {};
  const { hostname, port, protocol } = new URL(String(origin));
  return { 'server.address': hostname, 'server.port': Number(port) || (protocol === 'https:' ? 443 : 80) };
}

function fail(span: Span | undefined, type: string): void {
  span?.setAttribute('error.type', type);
  span?.setStatus({ code: SpanStatusCode.ERROR });
}
