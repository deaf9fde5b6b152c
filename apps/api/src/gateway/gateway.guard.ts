import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { rateLimitSettings } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Gateway, type ScopeName } from './gateway.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by {@link GatewayGuard} on every route under /v1. */
    principal?: Principal;
    /** Milliseconds since 1970 at which the caller's token expires. */
    tokenExpiresAt?: number;
  }
}

/** The scope a route needs; default `read`. */
export const Scope = Reflector.createDecorator<ScopeName>();

/** The gateway of HTTP: admits requests under /v1 by their token, their route's scope and their tenant's limits. */
@Injectable()
export class GatewayGuard implements CanActivate {
  constructor(
    @Inject(Gateway) private readonly gateway: Gateway,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (!isProtected(request)) return true;
    const { principal, expiresAt } = await this.gateway.identify(authorizationOf(request));
    request.principal = principal;
    request.tokenExpiresAt = expiresAt;
    const scope =
      this.reflector.getAllAndOverride(Scope, [context.getHandler(), context.getClass()]) ?? 'read';
    const operation = { scope, limits: rateLimitSettings(this.reflector, context) };
    await this.gateway.admit(principal, operation, (headers) => {
      http.getResponse<FastifyReply>().headers(Object.fromEntries(headers));
    });
    return true;
  }
}

/**
 * Health, metrics and the API's description are open; everything of a tenant is not. Decided by the route that
 * will answer: one route has many spellings, such as /%761/jobs.
 */
function isProtected({ routeOptions, url }: FastifyRequest): boolean {
  const route = routeOptions.url ?? url;
  return route === '/v1' || route.startsWith('/v1/');
}

/**
 * Browsers cannot set headers on a WebSocket handshake, but they can offer protocols: `bearer` and the token.
 * An address is no place for a token: it ends up in logs.
 */
function authorizationOf({ headers }: FastifyRequest): string | undefined {
  if (headers.authorization !== undefined || headers.upgrade === undefined) return headers.authorization;
  const [scheme, token] = (headers['sec-websocket-protocol'] ?? '').split(',').map((part) => part.trim());
  return scheme === 'bearer' && token ? `Bearer ${token}` : undefined;
}
