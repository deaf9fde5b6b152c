import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type Principal, TenantMissingError } from '@sparkle/contracts';
import type { FastifyRequest } from 'fastify';

/** The verified caller of a route under /v1. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!principal) throw new TenantMissingError();
  return principal;
});
