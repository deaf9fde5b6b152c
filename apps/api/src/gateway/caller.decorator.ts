import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type Principal, TenantMissingError } from '@sparkle/contracts';
import type { VerifiedToken } from '@sparkle/runtime';
import type { FastifyRequest } from 'fastify';

/** The verified caller of a route under /v1. */
export const Caller = createParamDecorator(
  (_: unknown, context: ExecutionContext): Principal => callerOf(context).principal,
);

/** The verified caller of a route under /v1, and until when its token is valid. */
export const CallerToken = createParamDecorator(
  (_: unknown, context: ExecutionContext): VerifiedToken => callerOf(context),
);

function callerOf(context: ExecutionContext): VerifiedToken {
  const { principal, tokenExpiresAt = 0 } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!principal) throw new TenantMissingError();
  return { principal, expiresAt: tokenExpiresAt };
}
