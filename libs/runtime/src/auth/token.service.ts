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
});

/** Scopes a token can carry: `read` for queries and questions, `write` for documents, `admin` for operators. */
export const SCOPES = ['read', 'write', 'admin'] as const;

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
    try {
      const { payload } = await jwtVerify(token, this.key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp', 'tenant'],
        currentDate: new Date(this.clock.now()),
      });
      const { sub, tenant, scope } = claims.parse(payload);
      return { tenantId: parseTenantId(tenant), userId: sub, scopes: scope.split(' ').filter(Boolean) };
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw new TokenExpiredError();
      throw new TokenInvalidError({ cause: error });
    }
  }
}
