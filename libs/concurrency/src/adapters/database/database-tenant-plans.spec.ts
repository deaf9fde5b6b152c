import { parseTenantId, type TenantDatabase } from '@sparkle/contracts';
import { TestClock } from '@sparkle/contracts/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TenantPlan } from '../../ports/tenant-plans.port.js';
import { DatabaseTenantPlans } from './database-tenant-plans.js';

const plan: TenantPlan = {
  qps: 10,
  burst: 20,
  permits: 4,
  threadShare: 2,
  tokenBudget: { tokens: 1000, windowMs: 60_000 },
};
const tenant = parseTenantId('acme');

describe('tenant plans from the database', () => {
  let clock: TestClock;
  let rows: { status: string; plan: unknown }[];
  let queries: string[];
  let failure: Error | undefined;
  const database: TenantDatabase = {
    async withTenant(tenantId, work) {
      return work({
        async query(_text, parameters) {
          queries.push(tenantId);
          if (failure) throw failure;
          expect(parameters).toEqual([tenantId]);
          return rows as never;
        },
      });
    },
  };

  beforeEach(() => {
    clock = new TestClock();
    rows = [{ status: 'active', plan }];
    queries = [];
    failure = undefined;
  });

  it('reads a plan once for all callers, and again when it is some seconds old', async () => {
    const plans = new DatabaseTenantPlans(database, clock);
    expect(await Promise.all([plans.get(tenant), plans.get(tenant)])).toEqual([plan, plan]);
    await clock.advance(4999);
    await plans.get(tenant);
    expect(queries).toHaveLength(1);
    rows = [{ status: 'active', plan: { ...plan, qps: 11 } }];
    await clock.advance(1);
    expect((await plans.get(tenant)).qps).toBe(11);
    expect(queries).toHaveLength(2);
  });

  it('reads anew after a reload, also when one was under way', async () => {
    const plans = new DatabaseTenantPlans(database, clock);
    const overtaken = plans.get(tenant);
    plans.reload(tenant);
    await overtaken;
    rows = [{ status: 'active', plan: { ...plan, qps: 12 } }];
    expect((await plans.get(tenant)).qps).toBe(12);
    rows = [{ status: 'active', plan: { ...plan, qps: 13 } }];
    plans.reload();
    expect((await plans.get(tenant)).qps).toBe(13);
  });

  it('refuses an unknown tenant and one without a plan, unless there is a default', async () => {
    rows = [];
    const strict = new DatabaseTenantPlans(database, clock);
    await expect(strict.get(tenant)).rejects.toMatchObject({ code: 'TENANT_PLAN_MISSING' });
    rows = [{ status: 'active', plan: null }];
    strict.reload();
    await expect(strict.get(tenant)).rejects.toMatchObject({ code: 'TENANT_PLAN_MISSING' });
    const lenient = new DatabaseTenantPlans(database, clock, { defaultPlan: plan });
    expect(await lenient.get(tenant)).toEqual(plan);
    rows = [];
    lenient.reload();
    await expect(lenient.get(tenant)).rejects.toMatchObject({ code: 'TENANT_PLAN_MISSING' });
  });

  it('refuses a suspended tenant, without asking the database for every request', async () => {
    rows = [{ status: 'suspended', plan }];
    const plans = new DatabaseTenantPlans(database, clock, { defaultPlan: plan });
    for (let i = 0; i < 3; i++) {
      await expect(plans.get(tenant)).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' });
    }
    expect(queries).toHaveLength(1);
  });

  it('takes what a plan leaves out from the default', async () => {
    rows = [{ status: 'active', plan: { qps: 99 } }];
    expect(await new DatabaseTenantPlans(database, clock, { defaultPlan: plan }).get(tenant)).toEqual({
      ...plan,
      qps: 99,
    });
  });

  it('refuses a wrong plan and names every wrong path without its value', async () => {
    rows = [{ status: 'active', plan: { ...plan, qps: 'secret', tokenBudget: { tokens: -1 } } }];
    const error = await new DatabaseTenantPlans(database, clock).get(tenant).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'TENANT_PLAN_INVALID' });
    const { problems, message } = error as { problems: string[]; message: string };
    expect(problems.map((problem) => problem.split(':')[0]).sort()).toEqual([
      'qps',
      'tokenBudget.tokens',
      'tokenBudget.windowMs',
    ]);
    expect(message).not.toContain('secret');
  });

  it('goes on with the last known plan while the database fails, for a bounded time', async () => {
    const plans = new DatabaseTenantPlans(database, clock, { staleOnErrorMs: 10_000 });
    await plans.get(tenant);
    failure = new Error('connection refused');
    await clock.advance(14_999);
    expect(await plans.get(tenant)).toEqual(plan);
    await clock.advance(1);
    await expect(plans.get(tenant)).rejects.toMatchObject({
      code: 'TENANT_PLAN_STORE_FAILED',
      cause: failure,
    });
  });

  it('keeps no more plans than its bound', async () => {
    const plans = new DatabaseTenantPlans(database, clock, { maxTenants: 2 });
    for (const id of ['a', 'b', 'c', 'c', 'b', 'a']) await plans.get(parseTenantId(id));
    expect(queries).toEqual(['a', 'b', 'c', 'a']);
  });
});
