import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { Principal } from '@sparkle/contracts';
import { ScopeMissingError, TokenMissingError, TokenService } from '@sparkle/runtime';

/** A request that {@link OperatorGuard} has admitted. */
export interface OperatorRequest {
  readonly headers: { readonly authorization?: string };
  operator?: Principal;
}

/** Admits requests whose bearer token has the scope `operator`; no other scope implies it. */
@Injectable()
export class OperatorGuard implements CanActivate {
  constructor(@Inject(TokenService) private readonly tokens: TokenService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<OperatorRequest>();
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw new TokenMissingError();
    const principal = await this.tokens.verify(token);
    if (!principal.scopes.includes('operator')) throw new ScopeMissingError('operator');
    request.operator = principal;
    return true;
  }
}
