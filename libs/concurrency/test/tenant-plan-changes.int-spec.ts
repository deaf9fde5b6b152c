import { Controller, Get, type INestApplication, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { parseTenantId, TenantContext } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ConcurrencyModule,
  type Permit,
  problemOf,
  type Semaphore,
  Semaphores,
  type TenantPlan,
  TenantPlans,
  TenantRateLimitGuard,
  TokenBudget,
} from '../src/index.js';
import { TenantsTable } from './tenants-table.js';

const CACHE_MS = 5000;
const acme = parseTenantId('acme');
const plan: TenantPlan = {
  qps: 2,
  burst: 2,
  permits: 1,
  threadShare: 1,
  tokenBudget: { tokens: 100, windowMs: 60_000 },
};

@Controller()
class Endpoints {
  @Get()
  ask() {
    return 'ok';
  }
}

class Problems {
  catch(
    error: unknown,
    host: { switchToHttp(): { getResponse(): { code(status: number): { send(body: unknown): void } } } },
  ) {
    const problem = problemOf(error);
    host
      .switchToHttp()
      .getResponse()
      .code(problem?.httpStatus ?? 500)
      .send({ code: problem?.code });
  }
}

describe("a change of a tenant's row in PostgreSQL, while the application runs", () => {
  let tenants: TenantsTable;
  let app: INestApplication;
  let clock: TestClock;
  let address: string;

  beforeAll(async () => {
    tenants = await TenantsTable.create();
  });
  afterAll(() => tenants?.drop());

  beforeEach(async () => {
    const { client, database } = tenants;
    await client.query('DELETE FROM tenants');
    await client.query('INSERT INTO tenants (id, plan) VALUES ($1, $2)', [acme, plan]);
    clock = new TestClock();

    @Module({
      imports: [
        ConcurrencyModule.forRoot({
          store: { kind: 'memory' },
          plans: { kind: 'database', database, cacheMs: CACHE_MS },
          clock,
        }),
      ],
      controllers: [Endpoints],
      providers: [
        { provide: APP_GUARD, useExisting: TenantRateLimitGuard },
        { provide: APP_FILTER, useClass: Problems },
      ],
    })
    class App {}
    app = await NestFactory.create(App, new FastifyAdapter({ forceCloseConnections: true }), {
      logger: false,
    });
    app.use((_request: unknown, _response: unknown, next: () => void) =>
      TenantContext.run({ tenantId: acme, userId: 'ana', scopes: [] }, next),
    );
    await app.listen(0, '127.0.0.1');
    address = await app.getUrl();
    tenants.queries = 0;
  });
  afterEach(() => app?.close());

  const change = (changes: Partial<TenantPlan>) =>
    tenants.client.query('UPDATE tenants SET plan = plan || $2 WHERE id = $1', [
      acme,
      JSON.stringify(changes),
    ]);

  it('changes the rate and the burst', async () => {
    expect((await fetch(address)).headers.get('ratelimit-policy')).toBe('"plan";q=2;w=1');
    await fetch(address);
    expect((await fetch(address)).status).toBe(429);
    await change({ qps: 50, burst: 80 });
    expect((await fetch(address)).status).toBe(429);
    expect(tenants.queries).toBe(1);
    await clock.advance(CACHE_MS);
    const after = await fetch(address);
    expect([after.status, after.headers.get('ratelimit-policy')]).toEqual([200, '"plan";q=50;w=1']);
    for (let index = 0; index < 60; index += 1) expect((await fetch(address)).status).toBe(200);
    expect(tenants.queries).toBe(2);
  });

  it('changes the token budget', async () => {
    const budget = app.get(TokenBudget);
    const reservation = await budget.reserve(acme, 100);
    await reservation.settle(100);
    await expect(budget.reserve(acme, 50)).rejects.toMatchObject({ code: 'TOKEN_BUDGET_EXCEEDED' });
    await change({ tokenBudget: { tokens: 500, windowMs: 60_000 } });
    await clock.advance(CACHE_MS);
    expect(await budget.usage(acme)).toMatchObject({ remaining: 400 });
    await budget.reserve(acme, 400);
    await change({ tokenBudget: { tokens: 120, windowMs: 60_000 } });
    await clock.advance(CACHE_MS);
    await expect(budget.reserve(acme, 20)).rejects.toMatchObject({ code: 'TOKEN_BUDGET_EXCEEDED' });
  });

  it("changes the share of threads that the tenant's pool is given", async () => {
    const plans = app.get<TenantPlans>(TenantPlans);
    expect((await plans.get(acme)).threadShare).toBe(1);
    await change({ threadShare: 3 });
    expect((await plans.get(acme)).threadShare).toBe(1);
    await clock.advance(CACHE_MS);
    expect((await plans.get(acme)).threadShare).toBe(3);
  });

  describe('changes the permits of a semaphore in use', () => {
    let semaphore: Semaphore;
    beforeEach(() => {
      const plans = app.get<TenantPlans>(TenantPlans);
      semaphore = app.get(Semaphores).semaphore({
        name: 'planned',
        permits: async (tenantId) => (await plans.get(tenantId)).permits,
      });
    });

    const take = () => semaphore.tryAcquire({ tenantId: acme });

    it('upwards: more are granted while the first is held, and the next arrival frees those who wait', async () => {
      const first = await semaphore.acquire({ tenantId: acme });
      expect(await take()).toBeUndefined();
      const waiting: Promise<Permit>[] = [semaphore.acquire({ tenantId: acme })];
      await change({ permits: 3 });
      await clock.advance(CACHE_MS);
      waiting.push(semaphore.acquire({ tenantId: acme }));
      await clock.advance(0);
      const permits = await Promise.all(waiting);
      expect(await take()).toBeUndefined();
      for (const permit of [first, ...permits]) expect(permit.held).toBe(true);
    });

    it('downwards: nobody loses a permit, and none is granted until fewer than the new number are held', async () => {
      await change({ permits: 3 });
      await clock.advance(CACHE_MS);
      const held = await Promise.all([1, 2, 3].map(() => semaphore.acquire({ tenantId: acme })));
      await change({ permits: 1 });
      await clock.advance(CACHE_MS);
      for (const permit of held.slice(0, 2)) {
        expect(await take()).toBeUndefined();
        await permit.release();
      }
      expect(await take()).toBeUndefined();
      expect(held[2]!.held).toBe(true);
      await held[2]!.release();
      const only = await take();
      expect(only).toBeDefined();
      expect(await take()).toBeUndefined();
    });
  });

  it('suspends the tenant, and lets it in again', async () => {
    expect((await fetch(address)).status).toBe(200);
    await tenants.client.query(`UPDATE tenants SET status = 'suspended' WHERE id = $1`, [acme]);
    await clock.advance(CACHE_MS);
    const refused = await fetch(address);
    expect([refused.status, await refused.json()]).toEqual([403, { code: 'TENANT_SUSPENDED' }]);
    await tenants.client.query(`UPDATE tenants SET status = 'active' WHERE id = $1`, [acme]);
    await clock.advance(CACHE_MS);
    expect((await fetch(address)).status).toBe(200);
  });

  it('to an invalid plan refuses the tenant and names no value; the whole table can be read anew at once', async () => {
    await fetch(address);
    await change({ qps: -1 });
    app.get<TenantPlans>(TenantPlans).reload();
    const refused = await fetch(address);
    expect([refused.status, await refused.json()]).toEqual([500, {}]);
    await expect(app.get<TenantPlans>(TenantPlans).get(acme)).rejects.toMatchObject({
      code: 'TENANT_PLAN_INVALID',
      problems: [expect.stringMatching(/^qps: /)],
    });
    await change({ qps: 7 });
    app.get<TenantPlans>(TenantPlans).reload(acme);
    expect((await fetch(address)).headers.get('ratelimit-policy')).toBe('"plan";q=7;w=1');
  });
});
