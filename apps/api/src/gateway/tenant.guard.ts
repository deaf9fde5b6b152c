import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { TenantRegistry } from '@sparkle/runtime';
import type { FastifyRequest } from 'fastify';

/** Makes sure that the verified caller's tenant and user have their rows. */
@Injectable()
export class TenantGuard implements CanActivate {
  constructor(@Inject(TenantRegistry) private readonly tenants: TenantRegistry) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
    if (principal) await this.tenants.admit(principal);
    return true;
  }
}
