import { Controller, Get, Post } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { ConcurrencyModule, RateLimit } from '@sparkle/concurrency';
import { type Principal, parseTenantId, TenantContext } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { TenantRegistry, TokenService } from '@sparkle/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Caller } from '../src/gateway/caller.decorator.js';
import { CallerContextInterceptor } from '../src/gateway/caller-context.interceptor.js';
import { GatewayGuard, Scope } from '../src/gateway/gateway.guard.js';
import { Gateway } from '../src/gateway/gateway.js';
import { type HttpApp, startHttpApp } from './http-app.js';

const KEY = 'a-key-that-is-long-enough-for-hmac-sha-256';
const demo = parseTenantId('demo');

@Controller('v1')
class TenantController {
  @Get('whoami')
  whoami(@Caller() caller: Principal) {
    return { caller, context: TenantContext.current() };
  }

  @Post('write')
  @Scope('write')
  write() {
    return {};
  }

  @Get('operate')
  @Scope('operator')
  operate() {
    return {};
  }

  @Get('asked')
  @RateLimit({ action: 'asked' })
  asked() {
    return {};
  }
}

@Controller()
class OpenController {
  @Get('open')
  open() {
    return { context: TenantContext.current() ?? null };
  }

  @Get('v1-of-something-else')
  other() {
    return {};
  }
}

describe('the gateway', () => {
  let app: HttpApp;
  let clock: TestClock;
  let tokens: TokenService;
  let admitted: Principal[];

  beforeEach(async () => {
    clock = new TestClock();
    tokens = new TokenService(KEY, clock);
    admitted = [];
    const plan = (burst: number) => ({
      qps: 1,
      burst,
      permits: 1,
      threadShare: 1,
      tokenBudget: { tokens: 1_000, windowMs: 60_000 },
    });
    app = await startHttpApp({
      imports: [
        ConcurrencyModule.forRoot({
          store: { kind: 'memory' },
          plans: { kind: 'static', overrides: { demo: plan(3), other: plan(3) } },
          rateLimits: { user: { limit: 1 } },
          clock,
        }),
      ],
      controllers: [TenantController, OpenController],
      providers: [
        { provide: TokenService, useValue: tokens },
        {
          provide: TenantRegistry,
          useValue: { admit: async (principal: Principal) => void admitted.push(principal) },
        },
        Gateway,
        { provide: APP_GUARD, useClass: GatewayGuard },
        { provide: APP_INTERCEPTOR, useClass: CallerContextInterceptor },
      ],
    });
  });
  afterEach(() => app.close());

  const tokenOf = (tenantId = demo, scopes = ['read'], userId = 'alice') =>
    tokens.issue({ tenantId, userId, scopes }, 3_600);
  const send = async (path: string, token?: string, init: RequestInit = {}) => {
    const response = await fetch(`${app.address}${path}`, {
      ...init,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };

  it('lets a verified caller in, on behalf of whom the route then runs', async () => {
    const caller = { tenantId: demo, userId: 'alice', scopes: ['read'] };
    const { status, body } = await send('/v1/whoami', await tokenOf());
    expect([status, body]).toEqual([200, { caller, context: caller }]);
    expect(admitted).toEqual([caller]);
  });

  it('takes the name of the scheme in any case, and no other scheme', async () => {
    const authorization = `bEARER ${await tokenOf()}`;
    expect((await fetch(`${app.address}/v1/whoami`, { headers: { authorization } })).status).toBe(200);
    for (const header of ['Basic YTpi', 'Bearer', 'Bearer ', await tokenOf()]) {
      const response = await fetch(`${app.address}/v1/whoami`, { headers: { authorization: header } });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="sparkle"');
    }
  });

  it.each(['/v1/whoami', '/%761/whoami', '/v%31/whoami', '/v1/who%61mi', '/v1/whoami?x=/open'])(
    'asks for a token at %s, however the route is spelled',
    async (path) => {
      expect(await send(path)).toMatchObject({ status: 401, body: { code: 'TOKEN_MISSING' } });
      expect(admitted).toEqual([]);
    },
  );

  it('asks for a token when the request names the whole address', async () => {
    const socket = await app.connect();
    socket.write('GET http://test/v1/whoami HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    let reply = '';
    for await (const chunk of socket) reply += String(chunk);
    expect(reply).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('leaves everything outside of /v1 open', async () => {
    expect(await send('/open')).toMatchObject({ status: 200, body: { context: null } });
    expect((await send('/v1-of-something-else')).status).toBe(200);
    expect((await send('/docs-json')).status).toBe(200);
    expect(admitted).toEqual([]);
  });

  it('asks for the scope of the route, which an operator need not have', async () => {
    const write = (scopes: string[]) =>
      tokenOf(demo, scopes).then((token) => send('/v1/write', token, { method: 'POST' }));
    expect(await write(['read'])).toMatchObject({
      status: 403,
      body: { code: 'SCOPE_MISSING', scope: 'write' },
    });
    expect((await write([])).status).toBe(403);
    expect((await write(['write'])).status).toBe(201);
    expect((await write(['admin'])).status).toBe(201);
    expect((await send('/v1/whoami', await tokenOf(demo, ['write']))).status).toBe(403);
  });

  it("does not take a tenant's administrator for the operator of the installation", async () => {
    const operate = async (scopes: string[]) => send('/v1/operate', await tokenOf(demo, scopes));
    expect(await operate(['read', 'write', 'admin'])).toMatchObject({
      status: 403,
      body: { code: 'SCOPE_MISSING', scope: 'operator' },
    });
    expect((await operate(['operator'])).status).toBe(200);
  });

  it('refuses an expired token, and a tenant without a plan', async () => {
    const token = await tokenOf();
    expect((await send('/v1/whoami', await tokenOf(parseTenantId('stranger')))).body).toMatchObject({
      status: 403,
      code: 'TENANT_PLAN_MISSING',
    });
    await clock.advance(3_601_000);
    expect((await send('/v1/whoami', token)).body).toMatchObject({ status: 401, code: 'TOKEN_EXPIRED' });
  });

  it("limits each tenant to its plan's rate and says when to come back; others are not affected", async () => {
    const token = await tokenOf();
    for (let request = 0; request < 3; request++) expect((await send('/v1/whoami', token)).status).toBe(200);
    const refused = await send('/v1/whoami', token);
    expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED', dimension: 'plan' } });
    expect(Number(refused.headers.get('retry-after'))).toBe(1);
    expect((await send('/v1/whoami', await tokenOf(parseTenantId('other')))).status).toBe(200);
    await clock.advance(1_000);
    expect((await send('/v1/whoami', token)).status).toBe(200);
  });

  it('limits what one user may ask for, and not what others of the tenant may', async () => {
    expect((await send('/v1/asked', await tokenOf())).status).toBe(200);
    expect(await send('/v1/asked', await tokenOf())).toMatchObject({
      status: 429,
      body: { dimension: 'user' },
    });
    expect((await send('/v1/asked', await tokenOf(demo, ['read'], 'bob'))).status).toBe(200);
  });

  it('counts nothing against a tenant for requests that were not admitted', async () => {
    for (let request = 0; request < 10; request++)
      expect((await send('/v1/write', await tokenOf(), { method: 'POST' })).status).toBe(403);
    expect((await send('/v1/whoami', await tokenOf())).status).toBe(200);
  });
});
