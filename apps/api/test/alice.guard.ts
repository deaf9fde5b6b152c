import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { parseTenantId } from '@sparkle/contracts';
import type { FastifyRequest } from 'fastify';

/** Takes every caller for Alice of the tenant `demo`. */
export class Alice implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    request.principal = { tenantId: parseTenantId('demo'), userId: 'alice', scopes: ['read', 'write'] };
    return true;
  }
}
