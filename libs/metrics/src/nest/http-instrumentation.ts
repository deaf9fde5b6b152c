import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { RequestTracker } from '../core/request-tracker.js';

/** Route of a request that no handler took. */
export const UNMATCHED_ROUTE = 'unmatched';

/** Methods that are told apart. */
export const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Finds a request's tenant in the request object of Fastify or Express; `undefined` for none. */
export type TenantOf = (request: unknown) => string | undefined;

/** The part of a Fastify request that is read here. */
export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
  readonly is404?: boolean;
  readonly routeOptions?: { readonly url?: string | undefined };
}

/** The part of a Fastify instance that is used here. */
export interface FastifyLike {
  addHook(
    name: 'onRequest',
    hook: (request: FastifyRequestLike, reply: { readonly raw: ServerResponse }, done: () => void) => void,
  ): unknown;
}

/** The part of an Express request that is read here; `route` is set once a handler has taken the request. */
export type ExpressRequestLike = IncomingMessage & {
  readonly baseUrl?: string;
  readonly route?: { readonly path?: unknown };
};

/** Measures every HTTP request from its start to the end of its response, on Fastify and on Express. */
export class HttpInstrumentation {
  private readonly errorTypes = new WeakMap<IncomingMessage, string>();
  private readonly ignored = new WeakSet<IncomingMessage>();

  /** @param tenantOf finds whose request it was once it has been answered. */
  constructor(
    private readonly tracker: RequestTracker,
    private readonly tenantOf: TenantOf = () => undefined,
  ) {}

  /** Measures all requests of a Fastify instance. Takes effect if called before the instance is ready. */
  attachToFastify(instance: FastifyLike): void {
    instance.addHook('onRequest', (request, reply, done) => {
      const route = request.is404 ? UNMATCHED_ROUTE : (request.routeOptions?.url ?? UNMATCHED_ROUTE);
      this.measure(request.raw, reply.raw, request, () => route);
      done();
    });
  }

  /** Measures all requests of a Node server whose `request` listener is Express. */
  attachToServer(server: Pick<Server, 'prependListener'>): void {
    // Ahead of Express itself, so that parsing the body counts as well.
    server.prependListener('request', (request: ExpressRequestLike, response) => {
      this.measure(request, response, request, () => {
        const path = request.route?.path;
        return typeof path === 'string' ? `${request.baseUrl ?? ''}${path}` : UNMATCHED_ROUTE;
      });
    });
  }

  /** Remembers what kind of error a request's handler threw. */
  noteError(request: IncomingMessage, type: string): void {
    this.errorTypes.set(request, type);
  }

  /** Keeps a request out of every figure. */
  ignore(request: IncomingMessage): void {
    this.ignored.add(request);
  }

  private measure(
    request: IncomingMessage,
    response: ServerResponse,
    asked: unknown,
    routeOf: () => string,
  ): void {
    const startedAt = this.tracker.start();
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      if (this.ignored.has(request)) {
        this.tracker.discard();
        return;
      }
      const method = request.method ?? 'GET';
      this.tracker.finish(startedAt, {
        transport: 'http',
        method: METHODS.has(method) ? method : 'OTHER',
        route: routeOf(),
        statusCode: response.statusCode,
        aborted: !response.writableFinished,
        streamed: isEventStream(request, response),
        errorType: this.errorTypes.get(request),
        tenantId: this.tenantOf(asked),
        traceId: traceOf(response),
      });
    };
    response.on('finish', end);
    response.on('close', end);
  }
}

function isEventStream(request: IncomingMessage, response: ServerResponse): boolean {
  const type = response.getHeader('content-type');
  // Headers handed straight to `writeHead` cannot be read back; then the client's wish decides.
  return String(type ?? request.headers.accept ?? '').includes('text/event-stream');
}

const SAMPLED_TRACE = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace a response says that it belongs to, if that is recorded (W3C Trace Context, level 2). */
function traceOf(response: ServerResponse): string | undefined {
  const header = response.getHeader('traceresponse');
  return typeof header === 'string' && header.endsWith('1') ? SAMPLED_TRACE.exec(header)?.[1] : undefined;
}
