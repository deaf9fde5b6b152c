import { type ExecutionContext, Injectable } from '@nestjs/common';
import { TenantRateLimitGuard } from '@sparkle/concurrency';
import type { Principal } from '@sparkle/contracts';
import type { FastifyRequest } from 'fastify';
import { isProtected } from './auth.guard.js';

/** The tenant's limits on every route under /v1. */
@Injectable()
export class LimitsGuard extends TenantRateLimitGuard {
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    return isProtected(request) ? super.canActivate(context) : true;
  }

  protected override principal(context: ExecutionContext): Principal | undefined {
    return context.switchToHttp().getRequest<FastifyRequest>().principal;
  }
}
