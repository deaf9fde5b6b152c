import { type Clock, type Principal, parseTenantId } from '@sparkle/contracts';
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { TokenExpiredError, TokenInvalidError } from '../errors.js';

const ISSUER = 'sparkle';
const AUDIENCE = 'sparkle-api';
const ALGORITHM = 'HS256';

const claims = z.object({
  sub: z.string().min(1).max(200),
  tenant: z.string(),
  scope: z.string().default(''),
  exp: z.number(),
});

/**
 * Scopes a token can carry: `read` for queries and questions, `write` for documents, `admin` for all of a tenant,
 * and apart from these `operator` for the installation itself: its profiles hold the data of every tenant.
 */
export const SCOPES = ['read', 'write', 'admin', 'operator'] as const;

/** What a genuine token says. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** When it ceases to be valid, milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Issues and verifies access tokens: JWTs (RFC 7519) signed with HMAC-SHA256, with `sub`, `tenant`, `scope`. */
export class TokenService {
  private readonly key: Uint8Array;

  constructor(
    key: string,
    private readonly clock: Clock,
  ) {
    this.key = new TextEncoder().encode(key);
  }

  /** Issues a token for `principal`, valid for `lifetimeSeconds` from now. */
  issue(principal: Principal, lifetimeSeconds: number): Promise<string> {
    const issuedAt = Math.floor(this.clock.now() / 1000);
    return new SignJWT({ tenant: principal.tenantId, scope: principal.scopes.join(' ') })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setSubject(principal.userId)
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetimeSeconds)
      .sign(this.key);
  }

  /**
   * Says whom a token speaks for.
   * @throws TokenExpiredError when its time is over, TokenInvalidError for every other fault.
   */
  async verify(token: string): Promise<Principal> {
    return (await this.inspect(token)).principal;
  }

  /** The same, and until when: for connections that outlast a request. */
  async inspect(token: string): Promise<VerifiedToken> {
    try {
      const { payload } = await jwtVerify(token, this.key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp', 'tenant'],
        currentDate: new Date(this.clock.now()),
      });
      const { sub, tenant, scope, exp } = claims.parse(payload);
      return {
        principal: { tenantId: parseTenantId(tenant), userId: sub, scopes: scope.split(' ').filter(Boolean) },
        expiresAt: exp * 1000,
      };
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new TokenExpiredError();
      throw new TokenInvalidError({ cause: error });
    }
  }
}
