import { createHash } from 'node:crypto';
import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { type Principal, TenantContext } from '@sparkle/contracts';
import { from, lastValueFrom, type Observable, of, switchMap } from 'rxjs';
import { CacheService } from '../core/cache.service.js';

export interface HttpCacheOptions {
  /** How long the server keeps the answer. Default: the module's TTL. */
  readonly ttlMs?: number;
  /** Default `http`. */
  readonly namespace?: string;
  /** `true` when every user of the tenant gets the same answer. Default: one answer per user. */
  readonly shared?: boolean;
  /** Query parameters the answer depends on. Default: all. */
  readonly query?: readonly string[];
  /** Request headers the answer depends on; they are listed in `Vary`. Default: none. */
  readonly headers?: readonly string[];
  /** How long the client may use the answer without asking. Default 0: it asks, and gets a 304. */
  readonly clientMaxAgeMs?: number;
  /** Tags, with `:name` standing for a route parameter: `course::id`. */
  readonly tags?: readonly string[];
}

/** Turns the {@link CacheInterceptor} on for a controller or a route; the route's settings win. */
export const HttpCache = Reflector.createDecorator<HttpCacheOptions>();

interface HttpRequest {
  readonly url: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

interface CachedResponse {
  readonly body: unknown;
  readonly etag: string;
  readonly status: number;
}

/**
 * Caches the JSON answers of `GET` and `HEAD` routes marked with {@link HttpCache}. The key always holds tenant,
 * user (unless `shared`), method, path, and the parameters and headers chosen. Answers carry `ETag`,
 * `Cache-Control` and `Vary`; a matching `If-None-Match` gets a 304. An answer whose handler set another status
 * than 200 is not kept. Streams and responses the handler sends itself cannot be cached.
 * @throws TenantMissingError when a marked route is reached without a tenant
 */
@Injectable()
export class CacheInterceptor implements NestInterceptor {
  constructor(
    @Inject(CacheService) private readonly cache: CacheService,
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const options = this.optionsOf(context);
    if (!options || context.getType() !== 'http') return next.handle();
    const request = context.switchToHttp().getRequest<HttpRequest>();
    const method = this.host.httpAdapter.getRequestMethod(request) as string;
    if (method !== 'GET' && method !== 'HEAD') return next.handle();
    const principal = TenantContext.require();
    const response = context.switchToHttp().getResponse<{ statusCode?: number }>();
    const cached = this.cache.getOrSet<CachedResponse>(
      { tenantId: principal.tenantId, namespace: options.namespace ?? 'http' },
      this.keyOf(request, method, principal, options),
      async () => {
        const body: unknown = await lastValueFrom(next.handle(), { defaultValue: undefined });
        return { body, etag: this.etagOf(body), status: response.statusCode ?? 200 };
      },
      {
        ttlMs: ({ status, body }) => (status === 200 && body !== undefined ? this.ttlOf(options) : 0),
        tags: (options.tags ?? []).map((tag) =>
          tag.replaceAll(/:([A-Za-z]\w*)/g, (whole, name: string) => request.params?.[name] ?? whole),
        ),
      },
    );
    return from(cached).pipe(switchMap((value) => of(this.respond(request, response, value, options))));
  }

  protected optionsOf(context: ExecutionContext): HttpCacheOptions | undefined {
    const targets = [context.getClass(), context.getHandler()];
    if (targets.every((target) => this.reflector.get(HttpCache, target) === undefined)) return undefined;
    return this.reflector.getAllAndMerge(HttpCache, targets);
  }

  protected keyOf(
    request: HttpRequest,
    method: string,
    principal: Principal,
    { shared = false, query, headers = [] }: HttpCacheOptions,
  ): string {
    const path = request.url.split('?')[0];
    const parameters = Object.entries(request.query ?? {})
      .filter(([name]) => query === undefined || query.includes(name))
      .sort(([left], [right]) => (left < right ? -1 : 1));
    const user = shared ? null : [principal.userId, [...principal.scopes].sort()];
    return JSON.stringify([
      user,
      method,
      path,
      parameters,
      headers.map((name) => request.headers[name.toLowerCase()] ?? null),
    ]);
  }

  /** Weak, because a proxy may compress the answer. */
  protected etagOf(body: unknown): string {
    const text = typeof body === 'string' ? body : (JSON.stringify(body) ?? '');
    return `W/"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
  }

  private ttlOf({ ttlMs }: HttpCacheOptions): number {
    return ttlMs ?? this.cache.defaultTtlMs;
  }

  private respond(
    request: HttpRequest,
    response: object,
    { body, etag, status }: CachedResponse,
    { clientMaxAgeMs = 0, headers = [] }: HttpCacheOptions,
  ): unknown {
    const { httpAdapter } = this.host;
    if (status !== 200) {
      httpAdapter.status(response, status);
      return body;
    }
    const seconds = Math.floor(clientMaxAgeMs / 1000);
    httpAdapter.setHeader(response, 'ETag', etag);
    httpAdapter.setHeader(
      response,
      'Cache-Control',
      seconds > 0 ? `private, max-age=${seconds}` : 'private, no-cache',
    );
    const before: unknown = httpAdapter.getHeader(response, 'Vary');
    const vary = [...(before ? [String(before)] : []), 'Authorization', ...headers];
    httpAdapter.setHeader(response, 'Vary', vary.join(', '));
    if (!matches(request.headers['if-none-match'], etag)) return body;
    httpAdapter.status(response, 304);
    return undefined;
  }
}

/** Weak comparison, RFC 9110 section 13.1.2. */
function matches(header: string | string[] | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return String(header)
    .split(',')
    .some((candidate) => candidate.trim() === '*' || opaque(candidate) === opaque(etag));
}
