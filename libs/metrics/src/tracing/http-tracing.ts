import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  type Context,
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import type { MetricsRoutes } from '../metrics.options.js';
import {
  type ExpressRequestLike,
  type FastifyRequestLike,
  METHODS,
  type TenantOf,
  UNMATCHED_ROUTE,
} from '../nest/http-instrumentation.js';
import { TRACER } from './run-in-span.js';
import { enterSpan, type SpanScope } from './span-scope.js';

/** The part of a Fastify instance that is used here. */
export interface TraceableFastify {
  addHook(
    name: 'onRequest' | 'preHandler',
    hook: (request: FastifyRequestLike, reply: { readonly raw: ServerResponse }, done: () => void) => void,
  ): unknown;
}

type Next = () => void;

/** The part of an Express application that is used here. */
export interface ExpressLike {
  use(middleware: (request: IncomingMessage, response: unknown, next: Next) => void): unknown;
}

/**
 * One server span for every HTTP request, from its arrival to the end of its response, event streams included. It
 * continues the trace of a W3C `traceparent` header and tells its own in `traceresponse`. Requests are named by
 * route, never by URL.
 */
export class HttpTracing {
  private readonly contexts = new WeakMap<IncomingMessage, Context>();

  private readonly probes: RegExp;

  /**
   * @param routes of metrics and health: what probes them every few seconds is not traced.
   * @param tenantOf finds whose request it was once it has been answered.
   */
  constructor(
    { metricsPath, healthPath }: MetricsRoutes,
    private readonly tenantOf: TenantOf,
  ) {
    // At any global prefix; the paths have no characters that mean something in a pattern.
    this.probes = new RegExp(`/(?:${metricsPath}|${healthPath}/(?:live|ready|performance))/?$`);
  }

  /** Traces all requests of a Fastify instance. Takes effect if called before the instance is ready. */
  attachToFastify(instance: TraceableFastify): void {
    instance.addHook('onRequest', (request, reply, done) => {
      const route = request.is404 ? UNMATCHED_ROUTE : (request.routeOptions?.url ?? UNMATCHED_ROUTE);
      this.begin(request.raw, reply.raw, request, () => route);
      this.resume(request.raw, done);
    });
    // Reading a body leaves the context in which it was begun.
    instance.addHook('preHandler', (request, _reply, done) => this.resume(request.raw, done));
  }

  /** Traces all requests of a Node server whose `request` listener is Express; to be called before its routes. */
  attachToExpress(server: Pick<Server, 'prependListener'>, express: ExpressLike): void {
    server.prependListener('request', (request: ExpressRequestLike, response) => {
      this.begin(request, response, request, () => {
        const path = request.route?.path;
        return typeof path === 'string' ? `${request.baseUrl ?? ''}${path}` : UNMATCHED_ROUTE;
      });
    });
    express.use((request, _response, next) => this.resume(request, next));
  }

  private resume(request: IncomingMessage, next: Next): void {
    const active = this.contexts.get(request);
    if (active) context.with(active, next);
    else next();
  }

  private begin(
    request: IncomingMessage,
    response: ServerResponse,
    asked: unknown,
    routeOf: () => string,
  ): void {
    if (this.probes.test((request.url ?? '').split('?', 1)[0]!)) return;
    const method = METHODS.has(request.method ?? '') ? request.method! : '_OTHER';
    const parent = propagation.extract(ROOT_CONTEXT, request.headers);
    const span = trace
      .getTracer(TRACER)
      .startSpan(method, { kind: SpanKind.SERVER, attributes: { 'http.request.method': method } }, parent);
    const { active, scope } = enterSpan(parent, span);
    this.contexts.set(request, active);
    const own = span.spanContext();
    if (isSpanContextValid(own))
      response.setHeader('traceresponse', `00-${own.traceId}-${own.spanId}-0${own.traceFlags & 1}`);
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      finish(scope, method, routeOf(), response, this.tenantOf(asked));
    };
    response.once('finish', end);
    response.once('close', end);
  }
}

function finish(
  scope: SpanScope,
  method: string,
  route: string,
  response: ServerResponse,
  tenantId: string | undefined,
): void {
  const { span } = scope;
  if (span.isRecording()) {
    span.updateName(`${method} ${route}`);
    span.setAttributes({ 'http.route': route, 'http.response.status_code': response.statusCode });
    if (tenantId !== undefined) scope.belongsTo(tenantId);
    if (!response.writableFinished) span.setAttribute('sparkle.client_left', true);
    if (response.statusCode >= 500) scope.fail(String(response.statusCode));
  }
  scope.end();
}
