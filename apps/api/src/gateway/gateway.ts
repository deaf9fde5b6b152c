import { Inject, Injectable } from '@nestjs/common';
import {
  type RateLimitSettings,
  rateLimitHeaders,
  refusalError,
  TenantRateLimits,
} from '@sparkle/concurrency';
import { type Principal, TenantContext } from '@sparkle/contracts';
import { RequestScope } from '@sparkle/database';
import {
  ScopeMissingError,
  TenantRegistry,
  TokenMissingError,
  TokenService,
  type VerifiedToken,
} from '@sparkle/runtime';

/** A scope that an operation can need. `admin` implies the others of a tenant; `operator` is beyond any tenant. */
export type ScopeName = 'read' | 'write' | 'admin' | 'operator';

/** What an operation needs of its caller, and what it counts against. */
export interface Operation {
  readonly scope: ScopeName;
  readonly limits: RateLimitSettings;
}

/** Tells a caller where it stands with its limits, as HTTP's headers would: on admission and on refusal. */
export type Announce = (headers: ReadonlyMap<string, string>) => void;

/**
 * The way in, the same for every door: auth → tenant → limits → context. HTTP asks for each request, gRPC for each
 * call; WebSocket asks at the handshake who it is, and for each message whether it may.
 */
@Injectable()
export class Gateway {
  constructor(
    @Inject(TokenService) private readonly tokens: TokenService,
    @Inject(TenantRegistry) private readonly tenants: TenantRegistry,
    @Inject(TenantRateLimits) private readonly limits: TenantRateLimits,
  ) {}

  /**
   * Says who asks.
   * @param authorization `Bearer TOKEN`, the scheme in any case.
   * @throws TokenMissingError, TokenInvalidError, TokenExpiredError
   */
  async identify(authorization: string | undefined): Promise<VerifiedToken> {
    const [scheme, token] = (authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw new TokenMissingError();
    return this.tokens.inspect(token);
  }

  /**
   * Lets a verified caller do one thing: it has the scope, its tenant and user have their rows, and its limits have
   * room. A refused request consumes nothing.
   * @throws ScopeMissingError, RateLimitedError, TenantPlanMissingError, TenantSuspendedError, RateLimitStoreError
   */
  async admit(principal: Principal, { scope, limits }: Operation, announce: Announce): Promise<void> {
    if (!allows(principal, scope)) throw new ScopeMissingError(scope);
    // An operator looks into the process when tenants, limits or their stores are what is wrong.
    if (scope === 'operator') return;
    await this.tenants.admit(principal);
    if (limits.skip) return;
    const decision = await this.limits.consume(principal, limits);
    announce(rateLimitHeaders(decision));
    if (!decision.admitted) throw refusalError(this.limits.name, decision);
  }

  /**
   * Runs `work` on behalf of an admitted caller.
   * @param label names the operation in warnings of the database.
   */
  run<T>(principal: Principal, label: string, work: () => T): T {
    return TenantContext.run(principal, () => RequestScope.run(work, label));
  }
}

function allows({ scopes }: Principal, scope: ScopeName): boolean {
  return scopes.includes(scope) || (scope !== 'operator' && scopes.includes('admin'));
}
