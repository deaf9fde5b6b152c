import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Principal } from '@sparkle/contracts';
import { ScopeMissingError, TokenMissingError, TokenService } from '@sparkle/runtime';
import type { FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by {@link AuthGuard} on every route under /v1. */
    principal?: Principal;
  }
}

/** The scope a route needs; default `read`. */
export const Scope = Reflector.createDecorator<'read' | 'write' | 'admin'>();

/** Admits requests under /v1 that carry a valid bearer token with the route's scope. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    @Inject(TokenService) private readonly tokens: TokenService,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (!isProtected(request)) return true;
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw new TokenMissingError();
    const principal = await this.tokens.verify(token);
    const scope =
      this.reflector.getAllAndOverride(Scope, [context.getHandler(), context.getClass()]) ?? 'read';
    if (!principal.scopes.includes(scope) && !principal.scopes.includes('admin'))
      throw new ScopeMissingError(scope);
    request.principal = principal;
    return true;
  }
}

/**
 * Health, metrics and the API's description are open; everything of a tenant is not. Decided by the route that
 * will answer: one route has many spellings, such as /%761/jobs.
 */
export function isProtected({ routeOptions, url }: FastifyRequest): boolean {
  const route = routeOptions.url ?? url;
  return route === '/v1' || route.startsWith('/v1/');
}
